# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The measurements of `gpu.py`, each in a process of its own: `python benchmarks/gpu_parts.py PART --output FILE`.

Each writes its figures as JSON. `--small` has small models on the CPU, with which tests run every part.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zs_seg_ros import LoadOptions, load_segmenter
from zs_seg_ros.cli.bench_measure import COLOURS, OBJECTS, PROMPTS, threshold_of_ten_objects
from zs_seg_ros.files import write_output
from zs_seg_ros.segmenters.shared.stages import wait_for_gpu
from zs_seg_ros.testing.clipseg import small_clipseg_config, write_clipseg
from zs_seg_ros.testing.published import write_published
from zs_seg_ros.testing.sam3 import small_sam3_config, write_sam3
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

WORDS = (*COLOURS, *OBJECTS)
_IMAGES_PER_BATCH = 8
_ROUNDS = 20
_ROUNDS_OF_SMALL = 2


class Model:
    """A model with random weights, and images of 1280x720, or small ones on the CPU."""

    def __init__(self, kind: str, folder: Path, small: bool) -> None:
        name = _write_small(kind, folder) if small else write_published(kind, folder, WORDS)
        self.segmenter: Any = load_segmenter(name, LoadOptions("cpu" if small else "cuda"))
        size = (48, 64) if small else (720, 1280)
        rows = np.random.default_rng(0).integers(0, 256, (_IMAGES_PER_BATCH, *size, 3), np.uint8)
        self._images = tuple(rows)
        self._threshold = threshold_of_ten_objects(self.segmenter, self._images[0])

    def work(self, classes: int, images: int) -> Callable[[], object]:
        """Return a call that segments some images, after a first time that also compiles kernels."""
        vocabulary = Vocabulary().changed_to(TargetClass(name) for name in PROMPTS[:classes])
        encoded = self.segmenter.encode(vocabulary)
        batch = Batch(self._images[:images], vocabulary.thresholds(self._threshold))

        def segment() -> object:
            return self.segmenter.segment(batch, encoded)

        segment()
        return segment


def _write_small(kind: str, folder: Path) -> str:
    if kind == "sam3":
        write_sam3(folder, small_sam3_config(), words=WORDS)
    else:
        write_clipseg(folder, small_clipseg_config(), 64, words=WORDS)
    return str(folder)


def _milliseconds(*works: Callable[[], object]) -> list[float]:
    """Return the median duration of each of some calls, which alternate."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(_ROUNDS if torch.cuda.is_available() else _ROUNDS_OF_SMALL):
        for own, work in zip(times, works, strict=True):
            start = time.perf_counter()
            work()
            wait_for_gpu()
            own.append((time.perf_counter() - start) * 1000)
    return [statistics.median(own) for own in times]


def clipseg(folder: Path, small: bool) -> dict[str, float]:
    """Measure images a second with 8 classes, in batches, and the time of 32 classes against that of one."""
    model = Model("clipseg", folder, small)
    batch, one, many = _milliseconds(
        model.work(8, _IMAGES_PER_BATCH), model.work(1, 1), model.work(32, 1)
    )
    return {
        "images_per_s": _IMAGES_PER_BATCH * 1000 / batch,
        "one_class_ms": one,
        "times_with_32_classes": many / one,
    }


def sam3(folder: Path, small: bool) -> dict[str, float]:
    """Measure one image with four phrases."""
    [four] = _milliseconds(Model("sam3", folder, small).work(4, 1))
    return {"four_phrases_ms": four}


def memory(folder: Path, small: bool) -> dict[str, float]:
    """Measure the GPU memory in use after 100 and after 10,000 frames, in MB; 0 on a CPU."""
    work = Model("clipseg", folder, small).work(8, 1)
    first, last = (3, 30) if small else (100, 10_000)
    used = {}
    for number in range(1, last + 1):
        work()
        if number in (first, last):
            wait_for_gpu()
            in_use = torch.cuda.memory_allocated() if torch.cuda.is_available() else 0
            used[number] = in_use / 1e6
    return {"early_mb": used[first], "late_mb": used[last]}


PARTS = {"clipseg": clipseg, "sam3": sam3, "memory": memory}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    if arguments.small:
        torch.set_num_threads(1)  # with more, models as small as these take many times as long
    with tempfile.TemporaryDirectory() as folder:
        figures = PARTS[arguments.part](Path(folder), arguments.small)
    write_output(arguments.output, json.dumps(figures).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
