# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures how a model finds objects again that were shown once, in scenes of `training/exemplar_scenes.py`.

    python -m training.exemplar_scenes --objects cross fork stairs --seed 131 --shown 8 --absent 8 --output FOLDER
    python benchmarks/exemplars.py FOLDER [--model NAME_OR_FOLDER] [--threshold T] [--warnings]

For each object: the mean IoU over the images that show it, and the mean share of the image that is labelled where it is
absent. The first image of an object is its example; with `--warnings` each that shows it is, one after the other, and
the last lines say how many of the examples that miss or reach these goals come with a warning.
"""

from __future__ import annotations

import argparse
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.cli.argument_types import share
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary

GOAL_IOU, GOAL_AREA = 0.5, 0.005


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="tabletop")
    parser.add_argument("--threshold", type=share, default=0.5)
    parser.add_argument("--warnings", action="store_true")
    arguments = parser.parse_args()
    segmenter = load_segmenter(arguments.model, LoadOptions())
    files = sorted(arguments.folder.glob("*_*.png"))
    print(f"goals: mIoU {GOAL_IOU}, area where absent below {GOAL_AREA:.1%}")
    warned: dict[bool, list[bool]] = {False: [], True: []}
    for name, of_object in groupby(files, key=lambda file: file.stem.rpartition("_")[0]):
        images = [_read(file) for file in of_object]
        examples = range(sum(bool(mask.any()) for _, mask in images) if arguments.warnings else 1)
        for number in examples:
            others = images[:number] + images[number + 1 :]
            overlap, area, warns = _scores(segmenter, images[number], others, arguments.threshold)
            warned[overlap >= GOAL_IOU and area < GOAL_AREA].append(warns)
            mark = ", warning" if warns else ""
            print(f"{name} {number}: mIoU {overlap:.3f}, area where absent {area:.2%}{mark}")
    if arguments.warnings:
        for reached, of_examples in warned.items():
            kind = "reach" if reached else "miss"
            print(f"warnings for {sum(of_examples)} of {len(of_examples)} that {kind} the goals")


def _read(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read an image (H, W, 3) and the mask (H, W) of the object, which is its alpha channel."""
    pixels = np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), np.uint8)
    return np.ascontiguousarray(pixels[..., 2::-1]), pixels[..., 3] > 0


def _scores(
    segmenter: Segmenter[Any],
    example: tuple[NDArray[np.uint8], NDArray[np.bool_]],
    images: list[tuple[NDArray[np.uint8], NDArray[np.bool_]]],
    threshold: float,
) -> tuple[float, float, bool]:
    target = TargetClass("part", exemplars=(Exemplar(*example),))
    encoded = segmenter.encode(Vocabulary().changed_to([target]))
    limits = encoded.vocabulary.thresholds(threshold)
    overlaps, areas = [], []
    for image, mask in images:
        [result] = segmenter.segment(Batch((image,), limits), encoded)
        labelled = result.label > 0
        if mask.any():
            overlaps.append((labelled & mask).sum() / (labelled | mask).sum())
        else:
            areas.append(labelled.mean())
    warns = any("fits parts of its own image" in warning for warning in encoded.warnings)
    return float(np.mean(overlaps)), float(np.mean(areas)), warns


if __name__ == "__main__":
    main()
