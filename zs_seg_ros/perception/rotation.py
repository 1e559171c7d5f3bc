# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Images of cameras that are mounted on their side or upside down, turned upright for the model and back."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from zs_seg_ros.shared_space import FeatureGrid
from zs_seg_ros.types import Box, DetectedObject, Label, RgbImage, Segmentation

ROTATIONS = (0, 90, 180, 270)
"""Degrees clockwise by which an image can be turned."""


def upright(image: RgbImage, rotation: int) -> RgbImage:
    """Turn an image (H, W, 3) clockwise by `rotation` degrees, one of `ROTATIONS`; a view."""
    return image if rotation == 0 else cast(RgbImage, np.rot90(image, -rotation // 90))


def as_received(segmentation: Segmentation, rotation: int) -> Segmentation:
    """Turn the results for an upright image back, so that they fit the image as it was received."""
    if rotation == 0:
        return segmentation
    turns = rotation // 90
    height, width = segmentation.label.shape
    instances = segmentation.instances
    return Segmentation(
        cast(Label, np.ascontiguousarray(np.rot90(segmentation.label, turns))),
        np.ascontiguousarray(np.rot90(segmentation.confidence, turns)),
        None if instances is None else tuple(turned(i, turns, (height, width)) for i in instances),
        _turned_grid(segmentation.features, turns),
        segmentation.presence,
    )


def _turned_grid(grid: FeatureGrid | None, turns: int) -> FeatureGrid | None:
    return None if grid is None else replace(grid, values=np.rot90(grid.values, turns))


def turned(instance: DetectedObject, turns: int, size: tuple[int, int]) -> DetectedObject:
    """Turn an instance of an image of `size` (H, W) counterclockwise by `turns` quarters."""
    box = instance.box
    height, width = size
    for _ in range(turns):
        box = Box(box.top, width - box.left - box.width, box.height, box.width)
        height, width = width, height
    return replace(instance, box=box, mask=np.ascontiguousarray(np.rot90(instance.mask, turns)))
