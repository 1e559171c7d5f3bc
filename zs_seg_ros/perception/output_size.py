# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The size of published label images, and how images of the camera's size are reduced to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import Segmentation

Pixels = TypeVar("Pixels", bound=NDArray[Any])


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Return a size (H, W) times `scale`, rounded, at least one pixel."""
    height, width = size
    return max(1, round(height * scale)), max(1, round(width * scale))


@dataclass(frozen=True, eq=False)
class PixelGrid:
    """The pixels of an image that a smaller one consists of: of each output pixel the one under its centre.

    rows: (h,) and columns: (w,), int64, rising.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]

    def of(self, image: Pixels) -> Pixels:
        """Return these pixels (h, w, …) of an image (H, W, …), or of one row or column that stands for all."""
        rows = image if image.shape[0] == 1 else image.take(self.rows, axis=0)
        return rows if image.shape[1] == 1 else rows.take(self.columns, axis=1)  # type: ignore[return-value]


@lru_cache(maxsize=16)
def pixel_grid(size: tuple[int, int], output: tuple[int, int]) -> PixelGrid:
    """Compute the grid of an image of `size` (H, W) for an output of (h, w), neither larger."""
    rows, columns = (
        ((2 * np.arange(out, dtype=np.int64) + 1) * length) // (2 * out)
        for length, out in zip(size, output, strict=True)
    )
    return PixelGrid(rows, columns)


def reduced(image: Pixels, scale: float) -> Pixels:
    """Return the pixels that an image (H, W, …) reduced by `scale`, 0 to 1, consists of; the image itself for 1."""
    height, width = image.shape[:2]
    output = scaled_size((height, width), scale)
    return image if output == (height, width) else pixel_grid((height, width), output).of(image)


def at_output_size(segmentation: Segmentation, size: tuple[int, int], scale: float) -> Segmentation:
    """Reduce label and confidence of an image of `size` (H, W), without instances, unless they are so small already.

    Both are reduced to the same pixels, so that the confidence stays 0 exactly where the label is 0.
    """
    if scale == 1 or segmentation.label.shape == scaled_size(size, scale):
        return segmentation
    return Segmentation(reduced(segmentation.label, scale), reduced(segmentation.confidence, scale))
