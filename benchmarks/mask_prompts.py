# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures the time of points and of `everything` with a mask model, as `~/segment` answers them.

    python benchmarks/mask_prompts.py [--model sam2|sam_hq] [--size 640x480] [--repeats N]

The weights are random and have the published shape, so that masks have no meaning: none passes the filters of
`everything`, whose second decoding of the masks that it returns is then not measured. It is short beside the first.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from zs_seg_ros.cli.argument_types import count, size
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.mask_prompts import MarkedPoint, MaskPrompt, mask_prompter_of
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared.all_masks import POINTS_PER_SIDE
from zs_seg_ros.testing.published import write_published


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=("sam2", "sam_hq"), default="sam2")
    parser.add_argument("--size", type=size, default=(640, 480))
    parser.add_argument("--repeats", type=count, default=3)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    width, height = arguments.size
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        model = write_published(f"owlv2 + {arguments.model}", Path(folder))
        segmenter = load_segmenter(model, LoadOptions(device=arguments.device))
    prompter = mask_prompter_of(segmenter)
    random = np.random.default_rng(1).uniform(0, (width, height), (64, 2))
    points = [MaskPrompt((MarkedPoint(float(x), float(y)),)) for x, y in random]
    calls: tuple[tuple[str, Callable[[], object]], ...] = (
        ("one point", lambda: prompter.masks_of_prompts(image, points[:1])),
        ("64 points", lambda: prompter.masks_of_prompts(image, points)),
        (f"everything, {POINTS_PER_SIDE**2} points", lambda: prompter.all_masks(image, 50, 100)),
    )
    print(f"{arguments.model} on {segmenter.device}, {width}x{height}, {arguments.repeats} times")
    for name, call in calls:
        print(f"{name}: median {statistics.median(_seconds(call, arguments.repeats)):.2f} s")


def _seconds(call: Callable[[], object], repeats: int) -> list[float]:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return times


if __name__ == "__main__":
    main()
