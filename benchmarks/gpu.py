# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Runs the tests for GPUs and all measurements on one, and writes one page: what `make gpu` runs.

    scripts/run.sh python benchmarks/gpu.py [--output gpu.md] [--minutes 19]

Each part has a process of its own, so that one that fails, or hangs, leaves the others their time. Without a GPU it
says so and ends with 1, as it does where a part fails or a target is missed. `--small` has small models on the CPU
instead, and no nodes; its figures mean nothing: tests run it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from zs_seg_ros.files import write_output

_HERE = Path(__file__).parent
_FAMILIES = ("clipseg", "tipsv2", "segformer", "owlv2 + sam2", "omdet-turbo + sam2", "sam3")
_ENOUGH, _TOO_LITTLE = "reached", "**missed**"


@dataclass(frozen=True)
class Target:
    """A figure of a part, and what it must be: `most` at most, or `least` at least."""

    part: str
    figure: str
    sentence: str
    least: float = -float("inf")
    most: float = float("inf")

    @property
    def text(self) -> str:
        """The target as the page has it."""
        return f"≥ {self.least:g}" if self.least > -float("inf") else f"≤ {self.most:g}"


TARGETS = (
    Target("clipseg", "images_per_s", "CLIPSeg, 8 classes, 1280x720: images a second", least=250),
    Target("clipseg", "times_with_32_classes", "CLIPSeg: 32 classes against one", most=1.25),
    Target("sam3", "four_phrases_ms", "SAM 3, 4 phrases, 1280x720: milliseconds", most=60),
    Target("cameras", "labels_per_s", "4 cameras in one node against 4 nodes", least=2.5),
    Target("memory", "growth_mb", "GPU memory after 10,000 frames less that after 100, MB", most=0),
)


@dataclass(frozen=True)
class Outcome:
    """What became of a part: its figures, or the sentence that says why there are none."""

    seconds: float
    figures: dict[str, Any]
    problem: str = ""


def commands(folder: Path, small: bool) -> dict[str, list[str]]:
    """Return the command of each part, in the order of their importance. They write `PART.json` into `folder`."""
    python, size = sys.executable, ["--small"] if small else []
    measurements = [python, str(_HERE / "gpu_parts.py")]
    parts = {
        name: [*measurements, name, "--output", str(folder / f"{name}.json"), *size]
        for name in ("clipseg", "sam3", "memory")
    }
    if not small:  # five nodes would take minutes of a CPU
        parts["cameras"] = [python, str(_HERE / "cameras.py"), "--rounds", "2", "--seconds", "8"]
        parts["cameras"] += ["--device", "cuda", "--random", "clipseg"]
        parts["cameras"] += ["--json", str(folder / "cameras.json")]
    tests = [str(_HERE.parent / "tests" / "segmenters"), "-m", "gpu", "-q"]
    parts["tests"] = ["pytest", "-p", "no:cacheprovider", *tests, *(["--co"] if small else [])]
    for kind in () if small else _FAMILIES:
        bench = [python, "-m", "zs_seg_ros.cli.main", "bench", "--random", kind, "--repeats", "10"]
        bench += ["--no-reference", "--device", "cuda", "--classes", "1", "8", "32"]
        parts[_of_family(kind)] = [*bench, "--json", str(folder / f"{_of_family(kind)}.json")]
    return parts


def _of_family(kind: str) -> str:
    return f"a frame with {kind}"


def run(name: str, command: Sequence[str], folder: Path, limit_s: float) -> Outcome:
    """Run a part for at most `limit_s` seconds."""
    start = time.monotonic()
    if limit_s <= 0:
        return Outcome(0, {}, "not run: the time was over")
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    try:
        done = subprocess.run(
            command,
            env=environment,
            timeout=limit_s,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        code, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired:
        code, output = 0, f"not ended after {limit_s:.0f} s"
    seconds = time.monotonic() - start
    last = next((line for line in reversed(output.splitlines()) if line.strip()), "")
    file = folder / f"{name}.json"
    if name == "tests" and code == 0:
        return Outcome(seconds, {"summary": last})
    if code or not file.is_file():
        return Outcome(seconds, {}, f"failed with exit code {code}: {last}")
    figures: dict[str, Any] = json.loads(file.read_text())
    if name == "memory":
        figures["growth_mb"] = figures["late_mb"] - figures["early_mb"]
    return Outcome(seconds, figures)


def page(device: str, outcomes: dict[str, Outcome]) -> str:
    """Return the page, in Markdown."""
    lines = [
        "# Figures of one GPU",
        "",
        f"{device}; torch {torch.__version__}; random weights.",
        "",
    ]
    lines += ["| quantity | measured | target | |", "|---|---|---|---|"]
    for target in TARGETS:
        outcome = outcomes.get(target.part)
        value = None if outcome is None else outcome.figures.get(target.figure)
        reached = value is not None and target.least <= value <= target.most
        measured = "–" if value is None else f"{value:.4g}"
        verdict = _ENOUGH if reached else _TOO_LITTLE if value is not None else "not measured"
        lines.append(f"| {target.sentence} | {measured} | {target.text} | {verdict} |")
    rows = [(n, o.figures["rows"]) for n, o in outcomes.items() if "rows" in o.figures]
    if rows:
        lines += ["", "| a frame of 640x480, ms | 1 class | 8 classes | 32 classes |"]
        lines += ["|---|---|---|---|"]
    for name, of_family in rows:
        cells = " | ".join(f"{row['total_ms']:.1f}" for row in of_family)
        lines.append(f"| {name} | {cells} |")
    lines += ["", "| part | seconds | |", "|---|---|---|"]
    for name, outcome in outcomes.items():
        summary = outcome.problem or outcome.figures.get("summary", "")
        lines.append(f"| {name} | {outcome.seconds:.0f} | {summary} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("gpu.md"))
    parser.add_argument("--minutes", type=float, default=19.0)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    if not arguments.small and not torch.cuda.is_available():
        print(
            f"torch {torch.__version__} sees no GPU: run make gpu where there is one, with a build of torch for it",
            file=sys.stderr,
        )
        return 1
    device = platform.processor() if arguments.small else torch.cuda.get_device_name(0)
    return measure(arguments, f"{device or 'a CPU'}", print)


def measure(arguments: argparse.Namespace, device: str, say: Callable[[str], None]) -> int:
    """Run all parts, write the page, and return 1 where a part failed or a target was missed."""
    end = time.monotonic() + 60 * arguments.minutes
    outcomes: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, command in commands(folder, arguments.small).items():
            say(f"{part} …")
            outcomes[part] = run(part, command, folder, end - time.monotonic())
    text = page(device, outcomes)
    write_output(arguments.output, text.encode())
    say(text)
    failed = any(outcome.problem for outcome in outcomes.values())
    return int(failed or (_TOO_LITTLE in text and not arguments.small))


if __name__ == "__main__":
    sys.exit(main())
