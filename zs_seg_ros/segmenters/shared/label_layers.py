# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Arg-max over the classes of each pixel on a CPU.

Compiled code does it in one pass (`kernels.py`), where it is built and no class has negatives. Otherwise OpenCV resizes
logits only where their class is, and classes that do not touch in one call, which gives the same labels as resizing the
whole of every class, in less time. Where no two classes touch, `separate_classes` does it in a single call.
benchmarks/scene.py and node_cost.py measure both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.kernels import compiled_kernels, finite_logits
from zs_seg_ros.segmenters.shared.separate_classes import (
    ClassAbove,
    Place,
    classes_above,
    reach_of_separate_classes,
    winners_of_separate_classes,
)
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
    against: Mapping[int, Logits] | None = None,
) -> tuple[Label, Logits]:
    """Compute for each pixel of `size` (H, W) the id with the highest logit that reaches its limit, and that logit.

    logits: (K, h, w), resized bilinearly; NaN and infinities as in `finite_logits`. limits: (K,); ids: of K classes.
    Where no class reaches its limit, the id is 0 and the logit has no meaning. against: for some channels (h, w),
    finite; the class has no pixel where these logits, resized, are higher than its own.
    """
    against = against or {}
    kernels = compiled_kernels()
    if kernels is not None and not against:
        return kernels.argmax(logits, limits, size, ids.values, ids.dtype)
    with np.errstate(all="ignore"):
        if not np.isfinite(logits.sum()):
            logits = finite_logits(logits)
    just_below = np.nextafter(np.array(limits, np.float32), np.float32(-np.inf)).tolist()
    # Interpolation never exceeds its inputs: a class below its limit everywhere cannot win a pixel.
    present = classes_above(logits, just_below)
    alone = against.keys() & {above.channel for above in present}
    number = None if alone else reach_of_separate_classes(present)
    if number is not None:
        return winners_of_separate_classes(logits, present, number, size, ids)
    lowest = min((above.limit for above in present), default=0.0)
    best = np.full(size, lowest, np.float32)
    label = np.zeros(size, ids.dtype)
    regions = (_region(above, size) for above in present)
    for layer in _layers(regions, logits.shape[1:], alone):
        place = layer.place
        best_here, label_here = best[place.full], label[place.full]
        full = cv2.resize(layer.logits(logits)[place.small], best_here.shape[::-1])
        if layer.limit > lowest:
            full[full <= layer.limit] = lowest
        if len(layer.regions) == 1:
            channel = layer.regions[0].channel
            if channel in against:
                full[cv2.resize(against[channel][place.small], full.shape[::-1]) > full] = lowest
            winners: Any = np.full_like(label_here, ids.values[channel])
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


@dataclass(frozen=True, eq=False)
class _Region:
    """The region of a class. limit: the highest logit that is too low.

    reach: 1 in `place` where the logits are higher, and one pixel around, which is as far as interpolation reads.
    """

    channel: int
    limit: float
    place: Place
    reach: NDArray[np.uint8]


def _region(above: ClassAbove, size: tuple[int, int]) -> _Region:
    place = Place.around(above.mask, size)
    reach = cv2.dilate(above.mask[place.small], _NEIGHBOURS)
    return _Region(above.channel, above.limit, place, cast("NDArray[np.uint8]", reach))


def _layers(
    regions: Iterable[_Region], shape: tuple[int, ...], alone: Set[int] = frozenset()
) -> list[_Layer]:
    """Assign each region to the first layer in which it touches no other region; channels of `alone` share none."""
    shared: list[_Layer] = []
    layers: list[_Layer] = []
    for region in regions:
        if region.channel in alone:
            layers.append(_Layer(region, shape))
            continue
        layer = next((layer for layer in shared if layer.has_room_for(region)), None)
        if layer is not None:
            layer.add(region)
            continue
        layers.append(_Layer(region, shape))
        if len(shared) < _LAYERS_SHARED:
            shared.append(layers[-1])
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
        """Merge logits, (K, h, w), to (h, w): those of each class within its reach, below the limit elsewhere."""
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
