"""Measures the memory that the largest accepted vocabulary takes, against one class, for models of published shapes.

    python benchmarks/vocabulary_memory.py [KIND ...] [--prompts 2000]

Each kind runs in its own process, with random weights: it loads, segments one image with one class, and then with the
largest vocabulary (two prompts a class). Printed are the peaks of resident memory and their ratio.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

KINDS = ("tabletop", "clipseg", "tipsv2", "owlv2 + sam2")
GOAL = 1.5
WORDS = [f"word{number}" for number in range(200)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", default=KINDS)
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child, options.prompts)))
        return 0
    print("| model | peak, 1 class | peak, all prompts | ratio | vocabulary in force after |")
    print("|---|---|---|---|---|")
    worst = 0.0
    for kind in options.kinds:
        command = [sys.executable, __file__, "--child", kind, "--prompts", str(options.prompts)]
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        one_mb, all_mb, seconds = json.loads(child.stdout.splitlines()[-1])
        worst = max(worst, all_mb / one_mb)
        print(
            f"| {kind} | {one_mb:.0f} MB | {all_mb:.0f} MB | {all_mb / one_mb:.2f} | {seconds:.1f} s |"
        )
    print(f"\nworst ratio {worst:.2f}, goal at most {GOAL}")
    return int(worst > GOAL)


def measure(kind: str, prompts: int) -> tuple[float, float, float]:
    """Return the peaks of resident memory in MB, and the seconds until the large vocabulary has segmented an image."""
    from zs_seg_ros.perception.live_model import LiveModel
    from zs_seg_ros.segmenters.load_options import LoadOptions
    from zs_seg_ros.testing.published import write_published
    from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

    with tempfile.TemporaryDirectory() as folder:
        name = kind if kind == "tabletop" else write_published(kind, Path(folder), WORDS)
        model = LiveModel(lambda: 0)
        model.load(
            name, LoadOptions(device="cpu"), Vocabulary().changed_to([TargetClass(WORDS[0])])
        )
        one_mb = peak_mb()
        rng = np.random.default_rng(0)
        texts = [" ".join(rng.choice(WORDS, 3)) + f" {number}" for number in range(prompts)]
        classes = [
            TargetClass(f"class {index}", tuple(texts[index : index + 2]))
            for index in range(0, prompts, 2)
        ]
        start = time.monotonic()
        model.change_vocabulary(classes)
        return one_mb, peak_mb(), time.monotonic() - start


def peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


if __name__ == "__main__":
    raise SystemExit(main())
