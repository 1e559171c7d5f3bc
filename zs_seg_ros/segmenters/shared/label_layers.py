"""Logits of classes to the most certain class of each pixel, on a processor.

By OpenCV, only where classes are, and at once for classes that do not touch: what resizing all of each class gives, in
less time. benchmarks/scene.py and node_cost.py measure it.
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
from zs_seg_ros.vocabulary.vocabulary import LabelIds

Logits = NDArray[np.float32]

_LAYERS_SHARED = 4  # where everything touches, looking for a place in more would only cost time
_NEIGHBOURS = np.ones((3, 3), np.uint8)


def argmax_over_classes(
    logits: Logits,
    limits: Sequence[float],
    size: tuple[int, int],
    ids: LabelIds,
) -> tuple[Label, Logits]:
    """For each pixel of `size` (H, W) the id with the highest logit among those that reach their limit, and that logit.

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
        here, label_here = best[place.full], label[place.full]
        full = cv2.resize(layer.logits(logits)[place.small], here.shape[::-1])
        if layer.limit > lowest:
            full[full <= layer.limit] = lowest
        winners: Any = ids.values[layer.regions[0].channel]
        if len(layer.regions) > 1:
            small = layer.ids(ids)[place.small]
            # The nearest is one of the four that interpolation looks at, so in the reach of the same class.
            winners = cv2.resize(small, here.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        np.copyto(label_here, winners, where=full > here)
        cv2.max(here, full, dst=here)
    return label, best


@dataclass(frozen=True)
class _Place:
    """A rectangle of the logits, and the one of the image that it becomes: resizing it alone is resizing all."""

    small: tuple[slice, slice]
    full: tuple[slice, slice]

    def __or__(self, other: _Place) -> _Place:
        return _Place(_hull(self.small, other.small), _hull(self.full, other.full))


def _hull(one: tuple[slice, slice], other: tuple[slice, slice]) -> tuple[slice, slice]:
    rows, columns = (
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
    return rows, columns


@dataclass(frozen=True, eq=False)
class _Region:
    """Where a class is. limit: the largest logit that is not enough.

    reach: 1 in `place` where its logits are higher, and one pixel around, as far as interpolation looks.
    """

    channel: int
    limit: float
    place: _Place
    reach: NDArray[np.uint8]


def _region(logits: Logits, channel: int, limit: float, size: tuple[int, int]) -> _Region:
    high_enough = (logits > limit).view(np.uint8)
    left, top, width, height = cv2.boundingRect(high_enough)
    rows, full_rows = _stretch(top, top + height, logits.shape[0], size[0])
    columns, full_columns = _stretch(left, left + width, logits.shape[1], size[1])
    place = _Place((rows, columns), (full_rows, full_columns))
    reach = cv2.dilate(high_enough[place.small], _NEIGHBOURS)
    return _Region(channel, limit, place, cast(NDArray[np.uint8], reach))


def _layers(regions: Iterable[_Region], shape: tuple[int, ...]) -> list[_Layer]:
    """Each region in the first layer in which it touches no other."""
    layers: list[_Layer] = []
    for region in regions:
        shared = layers[:_LAYERS_SHARED]
        layer = next((layer for layer in shared if layer.takes(region)), None)
        if layer is None:
            layers.append(_Layer(region, shape))
        else:
            layer.add(region)
    return layers


class _Layer:
    """Classes with one threshold of which no two touch: to resize them as one is to resize each."""

    def __init__(self, region: _Region, shape: tuple[int, ...]) -> None:
        self.limit, self.place = region.limit, region.place
        self.regions: list[_Region] = []
        self._taken = np.zeros(shape, np.uint8)
        self.add(region)

    def takes(self, region: _Region) -> bool:
        taken = self._taken[region.place.small]
        return self.limit == region.limit and not cv2.countNonZero(
            cv2.bitwise_and(taken, region.reach)
        )

    def add(self, region: _Region) -> None:
        self.place |= region.place
        self.regions.append(region)
        self._taken[region.place.small] |= region.reach

    def logits(self, of_classes: Logits) -> Logits:
        """(h, w): those of each class where it is, less than the limit elsewhere."""
        if len(self.regions) == 1:
            only: Logits = of_classes[self.regions[0].channel]
            return only
        together = np.full(self._taken.shape, self.limit - 1, np.float32)
        for region in self.regions:
            place, reach = region.place.small, region.reach.view(np.bool_)
            np.copyto(together[place], of_classes[region.channel][place], where=reach)
        return together

    def ids(self, ids: LabelIds) -> Label:
        """(h, w): which class is in reach; 0 where none is."""
        together: Label = np.zeros(self._taken.shape, ids.dtype)
        for region in self.regions:
            together[region.place.small] += region.reach * ids.dtype.type(
                ids.values[region.channel]
            )
        return together


def _stretch(start: int, end: int, length: int, full_length: int) -> tuple[slice, slice]:
    """From start to end (exclusive) of `length` places, with at least one more on each side where there is one, and
    what becomes of these when all are resized to `full_length`.

    The slices are as long, to each other, as the lengths are: to resize the one to the other gives what resizing all
    would give there.
    """
    parts = math.gcd(length, full_length)
    unit, full_unit = length // parts, full_length // parts
    first, last = max(start // unit - 1, 0), min((end - 1) // unit + 2, parts)
    return slice(first * unit, last * unit), slice(first * full_unit, last * full_unit)
