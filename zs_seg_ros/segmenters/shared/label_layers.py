"""Arg-max over the classes of each pixel on a CPU.

OpenCV resizes logits only where their class is, and classes that do not touch in one call, which gives the same labels
as resizing the whole of every class, in less time. benchmarks/scene.py and node_cost.py measure it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import Label
from zs_seg_ros.vocabulary.class_ids import LabelIds

Logits = NDArray[np.float32]

_LAYERS_SHARED = 4  # where all classes touch, a search through more layers would only cost time
_NEIGHBOURS = np.ones((3, 3), np.uint8)


def argmax_over_classes(
    logits: Logits,
    limits: Sequence[float],
    size: tuple[int, int],
    ids: LabelIds,
) -> tuple[Label, Logits]:
    """Compute for each pixel of `size` (H, W) the id with the highest logit that reaches its limit, and that logit.

    logits: (K, h, w), finite, resized bilinearly; limits: (K,); ids: of K classes. Where no class reaches its limit,
    the id is 0 and the logit has no meaning.
    """
    just_below = np.nextafter(np.array(limits, np.float32), np.float32(-np.inf)).tolist()
    highest = logits.max(axis=(1, 2)).tolist()
    # Interpolation never exceeds its inputs: a class below its limit everywhere cannot win a pixel.
    present = [i for i, high in enumerate(highest) if high > just_below[i]]
    lowest = min((just_below[channel] for channel in present), default=0.0)
    best = np.full(size, lowest, np.float32)
    label = np.zeros(size, ids.dtype)
    regions = (_region(logits[i], i, just_below[i], size) for i in present)
    for layer in _layers(regions, logits.shape[1:]):
        place = layer.place
        best_here, label_here = best[place.full], label[place.full]
        full = cv2.resize(layer.logits(logits)[place.small], best_here.shape[::-1])
        if layer.limit > lowest:
            full[full <= layer.limit] = lowest
        if len(layer.regions) == 1:
            winners: Any = np.full_like(label_here, ids.values[layer.regions[0].channel])
        else:
            small = layer.ids(ids)[place.small]
            # The nearest pixel is one of the four that are interpolated, so within the reach of the same class.
            winners = cv2.resize(
                small, best_here.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT
            )
        # numpy's copyto takes ten times as long.
        cv2.copyTo(winners, (full > best_here).view(np.uint8), label_here)
        cv2.max(best_here, full, dst=best_here)
    return label, best


@dataclass(frozen=True)
class _Place:
    """A rectangle of the logits (`small`) and the rectangle of the image that it is resized to (`full`)."""

    small: tuple[slice, slice]
    full: tuple[slice, slice]

    def __or__(self, other: _Place) -> _Place:
        return _Place(_hull(self.small, other.small), _hull(self.full, other.full))


def _hull(first: tuple[slice, slice], second: tuple[slice, slice]) -> tuple[slice, slice]:
    rows, columns = (
        slice(min(a.start, b.start), max(a.stop, b.stop))
        for a, b in zip(first, second, strict=True)
    )
    return rows, columns


@dataclass(frozen=True, eq=False)
class _Region:
    """The region of a class. limit: the highest logit that is too low.

    reach: 1 in `place` where the logits are higher, and one pixel around, which is as far as interpolation reads.
    """

    channel: int
    limit: float
    place: _Place
    reach: NDArray[np.uint8]


def _region(logits: Logits, channel: int, limit: float, size: tuple[int, int]) -> _Region:
    above_limit = (logits > limit).view(np.uint8)
    left, top, width, height = cv2.boundingRect(above_limit)
    rows, full_rows = _stretch(top, top + height, logits.shape[0], size[0])
    columns, full_columns = _stretch(left, left + width, logits.shape[1], size[1])
    place = _Place((rows, columns), (full_rows, full_columns))
    reach = cv2.dilate(above_limit[place.small], _NEIGHBOURS)
    return _Region(channel, limit, place, cast(NDArray[np.uint8], reach))


def _layers(regions: Iterable[_Region], shape: tuple[int, ...]) -> list[_Layer]:
    """Assign each region to the first layer in which it touches no other region."""
    layers: list[_Layer] = []
    for region in regions:
        shared = layers[:_LAYERS_SHARED]
        layer = next((layer for layer in shared if layer.has_room_for(region)), None)
        if layer is None:
            layers.append(_Layer(region, shape))
        else:
            layer.add(region)
    return layers


class _Layer:
    """Classes of equal threshold of which no two touch, so that all of them are resized in one call."""

    def __init__(self, region: _Region, shape: tuple[int, ...]) -> None:
        self.limit, self.place = region.limit, region.place
        self.regions: list[_Region] = []
        self._taken = np.zeros(shape, np.uint8)
        self.add(region)

    def has_room_for(self, region: _Region) -> bool:
        taken = self._taken[region.place.small]
        return self.limit == region.limit and not cv2.countNonZero(
            cv2.bitwise_and(taken, region.reach)
        )

    def add(self, region: _Region) -> None:
        self.place |= region.place
        self.regions.append(region)
        self._taken[region.place.small] |= region.reach

    def logits(self, of_classes: Logits) -> Logits:
        """Merge logits (K, h, w) to (h, w): those of each class within its reach, below the limit elsewhere."""
        if len(self.regions) == 1:
            only: Logits = of_classes[self.regions[0].channel]
            return only
        merged = np.full(self._taken.shape, self.limit - 1, np.float32)
        for region in self.regions:
            place, reach = region.place.small, region.reach.view(np.bool_)
            np.copyto(merged[place], of_classes[region.channel][place], where=reach)
        return merged

    def ids(self, ids: LabelIds) -> Label:
        """Return the id (h, w) of the class within whose reach a pixel is; 0 where there is none."""
        merged: Label = np.zeros(self._taken.shape, ids.dtype)
        for region in self.regions:
            merged[region.place.small] += region.reach * ids.dtype.type(ids.values[region.channel])
        return merged


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
