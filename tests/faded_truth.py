# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Labelled frames on which the model fake is too generous: red that fades to white, whose bright part is not red."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zs_seg_ros.segmenters.fake import PALETTE, FakeSegmenter
from zs_seg_ros.studio.labelled_frames import LabelledFrames
from zs_seg_ros.types import Batch, Box, DetectedObject
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

HEIGHT, WIDTH = 24, 96
SHARE = 0.85
"""From this confidence on a pixel is red in the ground truth."""


def image(number: int) -> np.ndarray:
    """The left half fades from red, more with each number; the right half is blue."""
    fading = np.linspace(0, 0.6 + 0.01 * number, WIDTH // 2)[None, :, None]
    left = (1 - fading) * np.array(PALETTE["red"]) + fading * 255
    right = np.broadcast_to(np.array(PALETTE["blue"]), left.shape)
    row = np.concatenate([left, right], axis=1).astype(np.uint8)
    return np.repeat(row, HEIGHT, axis=0)


def write_truth(folder: Path, frames: int, lower: str = "red") -> LabelledFrames:
    """Write frames. lower: the class of the lower half of what is red.

    With blue the two classes are confused: what is red at a threshold of 0.5 is half blue, a third of the right is not.
    """
    blue_rows = 2 * HEIGHT // 3 if lower == "blue" else HEIGHT
    share = 0.5 if lower == "blue" else SHARE
    labelled = LabelledFrames(folder)
    model = FakeSegmenter()
    encoding = model.encode(Vocabulary().changed_to([TargetClass("red")]))
    for number in range(frames):
        pixels = image(number)
        [result] = model.segment(Batch((pixels,), np.array([share], np.float32)), encoding)
        columns = int(np.nonzero(result.label)[1].max()) + 1
        objects = [
            ("red", rectangle(0, 0, columns, HEIGHT // 2)),
            (lower, rectangle(0, HEIGHT // 2, columns, HEIGHT // 2)),
            ("blue", rectangle(WIDTH // 2, 0, WIDTH // 2, blue_rows)),
        ]
        labelled.add(pixels, objects, ["red", "blue"])
    return labelled


def rectangle(left: int, top: int, width: int, height: int) -> DetectedObject:
    return DetectedObject(0, 1.0, Box(left, top, width, height), np.ones((height, width), np.bool_))
