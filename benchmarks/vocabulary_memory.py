# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures the memory that the largest accepted vocabulary takes, against one class, for models of published shapes.

    python benchmarks/vocabulary_memory.py [KIND ...] [--prompts 2000] [--layers N] [--timeout 60]

Each kind runs in its own process, with random weights: it loads, segments one image with one class, and then with the
largest vocabulary (two prompts a class) that is accepted within --timeout seconds, by default the node's
vocabulary_timeout; one that takes longer is refused, and a quarter of it is tried. Printed are the peaks of resident
memory over all tries and their ratio. --layers cuts text and image encoders and DETR decoders to so many layers of the
published width: a vocabulary then takes less time, and no less memory beyond that of the model, so that the ratio is
higher than that of a whole one.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

KINDS = (
    "tabletop", "clipseg", "tipsv2", "owlv2 + sam2", "grounding-dino + sam2", "omdet-turbo + sam2", "sam3",
)  # fmt: skip
GOAL = 1.5
TIMEOUT_S = 60.0
COUNTS = (
    "num_hidden_layers",
    "num_layers",
    "encoder_layers",
    "decoder_layers",
    "decoder_num_layers",
)
WORDS = [f"word{number}" for number in range(200)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", default=KINDS)
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--layers", type=int, default=0, help="(default: the published number)")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S, metavar="S")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child, options.prompts, options.layers, options.timeout)))
        return 0
    print("| model | peak, 1 class | peak, all prompts | ratio | accepted | after |")
    print("|---|---|---|---|---|---|")
    worst = 0.0
    for kind in options.kinds:
        command = [sys.executable, __file__, "--child", kind, "--prompts", str(options.prompts)]
        command += ["--layers", str(options.layers), "--timeout", str(options.timeout)]
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        one_mb, all_mb, accepted, seconds = json.loads(child.stdout.splitlines()[-1])
        worst = max(worst, all_mb / one_mb)
        print(
            f"| {kind} | {one_mb:.0f} MB | {all_mb:.0f} MB | {all_mb / one_mb:.2f} | "
            f"{accepted} prompts | {seconds:.1f} s |",
            flush=True,
        )
    print(f"\nworst ratio {worst:.2f}, goal at most {GOAL}")
    return int(worst > GOAL)


def measure(
    kind: str, prompts: int, layers: int, timeout_s: float
) -> tuple[float, float, int, float]:
    """Return both peaks of resident memory in MB, the accepted prompts, and the seconds until they are in force."""
    from zs_seg_ros.errors import VocabularyError
    from zs_seg_ros.perception.live_model import LiveModel
    from zs_seg_ros.segmenters.load_options import LoadOptions
    from zs_seg_ros.testing.published import write_published
    from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

    with tempfile.TemporaryDirectory() as folder:
        if kind == "tabletop":
            name = kind
        elif layers:
            name = write_shallow(kind, Path(folder), layers)
        else:
            name = write_published(kind, Path(folder), WORDS)
        first = Vocabulary().changed_to([TargetClass(WORDS[0])])
        model = LiveModel(lambda: 0)
        clear_peak()
        model.load(name, LoadOptions(device="cpu"), first)
        one_mb = peak_mb()
        pairs = np.random.default_rng(0).permutation(len(WORDS) ** 2)[:prompts]
        texts = [f"{WORDS[pair // len(WORDS)]} {WORDS[pair % len(WORDS)]}" for pair in pairs]
        while prompts > 1:
            classes = [
                TargetClass(f"class {index}", tuple(texts[index : index + 2]))
                for index in range(0, prompts, 2)
            ]
            start = time.monotonic()
            try:
                model.change_vocabulary(classes, timeout_s=timeout_s)
                break
            except VocabularyError as error:
                if "vocabulary_timeout" not in str(error):
                    raise
                prompts //= 4
        return one_mb, peak_mb(), prompts, time.monotonic() - start


def write_shallow(kinds: str, folder: Path, layers: int) -> str:
    """Write models of published width with fewer layers and random weights; return the name to load."""
    from zs_seg_ros.testing import clipseg, grounding_dino, omdet_turbo, owlv2, sam3, tipsv2
    from zs_seg_ros.testing.published import write_published

    writers: dict[str, tuple[Any, Any]] = {
        "clipseg": (clipseg.published_clipseg_config, clipseg.write_clipseg),
        "tipsv2": (lambda: tipsv2.published_tipsv2_config(layers), tipsv2.write_tipsv2),
        "owlv2": (owlv2.published_owlv2_config, owlv2.write_owlv2),
        "sam3": (sam3.published_sam3_config, sam3.write_sam3),
        "grounding-dino": (grounding_dino.published_grounding_dino_config, grounding_dino.write_grounding_dino),
        "omdet-turbo": (omdet_turbo.published_omdet_turbo_config, omdet_turbo.write_omdet_turbo),
    }  # fmt: skip
    names = []
    for kind in (part.strip() for part in kinds.split("+")):
        if kind not in writers:
            names.append(write_published(kind, folder, WORDS))
            continue
        config, write = writers[kind][0](), writers[kind][1]
        if kind != "tipsv2":  # whose outputs are named after its layers
            cut(config, layers)
        (folder / kind).mkdir()
        write(folder / kind, config, words=WORDS)
        names.append(str(folder / kind))
    return " + ".join(names)


def cut(config: Any, layers: int) -> None:
    """Reduce the numbers of layers of a configuration and of those in it; Swin's, of a few layers a stage, stay."""
    for key, value in vars(config).items():
        if hasattr(value, "to_dict"):
            cut(value, layers)
        elif key in COUNTS and isinstance(value, int):
            setattr(config, key, min(value, layers))


def clear_peak() -> None:
    """Forget the peak of resident memory so far: that of writing the random weights (Linux)."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


if __name__ == "__main__":
    raise SystemExit(main())
