# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures a frame with each family of models and with transformers' own pipelines: the tables of docs/models.md.

    python benchmarks/families.py [KIND ...] [--repeats 3]

Runs `zs-seg bench --random` for one kind after another, each in its own process: published architectures with
random weights, whose values hardly change the cost. 32 classes are measured without the reference, which takes
minutes per frame then. The whole benchmark takes more than an hour and 12 GB of memory on two cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

KINDS = (
    "clipseg",
    "tipsv2",
    "tipsv2-l14",
    "segformer",
    "eomt",
    "owlv2 + sam2",
    "owlv2 + sam_hq",
    "omdet-turbo + sam2",
    "grounding-dino + sam2",
    "mm-grounding-dino + sam2",
    "florence2 + sam2",
    "sam3",
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", default=KINDS)
    parser.add_argument("--repeats", default="3")
    arguments = parser.parse_args()
    lines = []
    for kind in arguments.kinds:
        few = measure(kind, arguments.repeats, "--classes", "1", "8")
        many = measure(kind, arguments.repeats, "--classes", "32", "--no-reference")
        lines.append(row(kind, few, many))
    print(
        "| model | weights | 1 class | 8 classes | 32 | reference, 8 | faster | memory | 10 new words |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(lines))
    return 0


def measure(kind: str, repeats: str, *options: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        command = [sys.executable, "-m", "zs_seg_ros.cli.main", "bench", "--random", kind]
        command += ["--repeats", repeats, "--json", str(file), *options]
        subprocess.run(command, check=True, stdout=sys.stderr)
        figures: dict[str, Any] = json.loads(file.read_text())
    return figures


def row(kind: str, few: dict[str, Any], many: dict[str, Any]) -> str:
    """Return the table's row of one kind. Memory is that above the weights."""
    one, eight = few["rows"]
    cells = [
        kind,
        f"{few['weights_mb']:.0f} MB",
        *(f"{each['total_ms'] / 1000:.2f} s" for each in (one, eight, many["rows"][0])),
        f"{eight['reference_ms'] / 1000:.2f} s",
        f"{eight['times_faster']:.1f}x",
        f"{eight['memory_mb']:.0f} MB",
        f"{few['change_ms'] / one['total_ms']:.1f} frames",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
