# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The windows of EoMT's semantic segmentation: squares along the longer side of an image, which overlap."""

from __future__ import annotations

import math

from torch import Tensor
from transformers.image_transforms import get_size_with_aspect_ratio

_MOST_SQUARES = 4
"""An image of more extreme proportions is compressed: of one pixel in height every pixel in width would be a window."""


def resized_shape(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the (height, width) that an image of `size` is resized to, of which the shorter is `side`."""
    height, width = get_size_with_aspect_ratio(size, side, _MOST_SQUARES * side)
    # Where the limit holds, transformers keeps the proportions and makes the shorter side less than a window.
    return max(side, height), max(side, width)


def window_starts(length: int, side: int) -> list[int]:
    """Return where windows of `side` pixels begin along a side of `length` pixels, at equal distances."""
    count = math.ceil(length / side)
    overlap = (count * side - length) / (count - 1) if count > 1 else 0
    return [int(i * (side - overlap)) for i in range(count)]


def split_windows(pixels: Tensor, side: int) -> list[Tensor]:
    """Split an image (C, h, w) into windows (C, side, side)."""
    dim = _longer(pixels)
    return [pixels.narrow(dim, start, side) for start in window_starts(pixels.shape[dim], side)]


def merge_windows(windows: list[Tensor], shape: tuple[int, int]) -> Tensor:
    """Merge scores (L, side, side) of windows to (L, h, w), the mean where they overlap."""
    side = windows[0].shape[-1]
    merged = windows[0].new_zeros(len(windows[0]), *shape)
    dim = _longer(merged)
    counts = merged.new_zeros(shape[dim - 1])
    for start, window in zip(window_starts(shape[dim - 1], side), windows, strict=True):
        merged.narrow(dim, start, side).add_(window)
        counts[start : start + side] += 1
    return merged / (counts[:, None] if dim == 1 else counts)


def _longer(image: Tensor) -> int:
    return 1 if image.shape[1] > image.shape[2] else 2
