# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Arg-max over classes of which no two touch: all of them are resized in one call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import Label
from zs_seg_ros.vocabulary.class_ids import LabelIds

Logits = NDArray[np.float32]

_NEIGHBOURS = np.ones((3, 3), np.uint8)
_MOST_CLASSES = 255  # they are numbered in 8 bits


@dataclass(frozen=True, eq=False)
class ClassAbove:
    """A class that is above its limit somewhere. mask: (h, w) uint8, 1 where it is. area: the number of ones.

    limit: the highest logit that is too low.
    """

    channel: int
    limit: float
    mask: NDArray[np.uint8]
    area: int


def classes_above(logits: Logits, limits: Sequence[float]) -> list[ClassAbove]:
    """Return the classes of logits (K, h, w) that are above their limit (K,) somewhere."""
    classes = []
    for channel, limit in enumerate(limits):
        mask = np.greater(logits[channel], limit).view(np.uint8)
        if area := cv2.countNonZero(mask):
            classes.append(ClassAbove(channel, limit, mask, area))
    return classes


def reach_of_separate_classes(present: Sequence[ClassAbove]) -> NDArray[np.uint8] | None:
    """Return (h, w) uint8: the number, from 1 on, of the class in `present` within whose reach a pixel is; 0: of none.

    The reach of a class is where it is above its limit, and one pixel around, which is as far as interpolation reads.
    None where there are no classes, two of them reach the same pixel, or their limits differ.
    """
    if not 0 < len(present) <= _MOST_CLASSES or len({above.limit for above in present}) > 1:
        return None
    own = np.zeros_like(present[0].mask)
    for number, above in enumerate(present, 1):
        own += above.mask * np.uint8(number)
    if cv2.countNonZero(own) < sum(above.area for above in present):
        return None
    highest = cv2.dilate(own, _NEIGHBOURS)
    # Zero wraps to 255 and back, so that the lowest number is that of a class where there is one.
    lowest = np.asarray(cv2.erode(own - np.uint8(1), _NEIGHBOURS)) + np.uint8(1)
    return np.asarray(highest, np.uint8) if np.array_equal(highest, lowest) else None


def winners_of_separate_classes(
    logits: Logits,
    present: Sequence[ClassAbove],
    number: NDArray[np.uint8],
    size: tuple[int, int],
    ids: LabelIds,
) -> tuple[Label, Logits]:
    """Return what `argmax_over_classes` does. number: of `reach_of_separate_classes`."""
    limit = present[0].limit
    merged = np.full(number.shape, limit - 1, np.float32)
    table = np.zeros(256, ids.dtype)
    for place, above in enumerate(present, 1):
        cv2.copyTo(logits[above.channel], (number == place).view(np.uint8), merged)
        table[place] = ids.values[above.channel]
    region = Place.around(number, size)
    best = np.zeros(size, np.float32)
    label = np.zeros(size, ids.dtype)
    label_here, full = label[region.full], best[region.full]
    shape = label_here.shape[::-1]
    cv2.resize(merged[region.small], shape, dst=full)
    # The nearest pixel is one of the four that are interpolated, so within the reach of the same class.
    nearest = cv2.resize(
        cv2.LUT(number[region.small], table), shape, interpolation=cv2.INTER_NEAREST_EXACT
    )
    np.multiply(nearest, full > limit, out=label_here, dtype=ids.dtype)
    return label, best


@dataclass(frozen=True)
class Place:
    """A rectangle of the logits (`small`) and the rectangle of the image that it is resized to (`full`)."""

    small: tuple[slice, slice]
    full: tuple[slice, slice]

    @classmethod
    def around(cls, mask: NDArray[np.uint8], size: tuple[int, int]) -> Place:
        """Return the place of a mask of the logits, and of at least one pixel around it, in an image of `size`."""
        left, top, width, height = cv2.boundingRect(mask)
        rows, full_rows = _stretch(top, top + height, mask.shape[0], size[0])
        columns, full_columns = _stretch(left, left + width, mask.shape[1], size[1])
        return cls((rows, columns), (full_rows, full_columns))

    def __or__(self, other: Place) -> Place:
        return Place(_hull(self.small, other.small), _hull(self.full, other.full))


def _hull(first: tuple[slice, slice], second: tuple[slice, slice]) -> tuple[slice, slice]:
    rows, columns = (
        slice(min(a.start, b.start), max(a.stop, b.stop))
        for a, b in zip(first, second, strict=True)
    )
    return rows, columns


def _stretch(start: int, end: int, length: int, full_length: int) -> tuple[slice, slice]:
    """Widen start..end (exclusive) of `length` pixels, and find the pixels that it covers after resizing.

    Returns a slice with at least one more pixel on each side, where there is one, and the slice that it becomes when
    `length` is resized to `full_length`. The two are in the ratio of the lengths, so that resizing the first to the
    second gives the same values as resizing the whole.
    """
    units = math.gcd(length, full_length)
    unit, full_unit = length // units, full_length // units
    first, last = max(start // unit - 1, 0), min((end - 1) // unit + 2, units)
    return slice(first * unit, last * unit), slice(first * full_unit, last * full_unit)
