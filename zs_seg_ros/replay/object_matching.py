# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Matches the objects of two results by mask IoU, and counts switches of identity."""

from __future__ import annotations

from collections.abc import Sequence

from zs_seg_ros.replay.results import ObjectResult
from zs_seg_ros.segmenters.instance_labels import mask_iou


def match_objects(
    golden: Sequence[ObjectResult], now: Sequence[ObjectResult], least_iou: float
) -> list[tuple[int, int]]:
    """Return index pairs of objects of one class, the best IoU first; each object is in one pair at most."""
    overlaps = [
        (-iou, i, k)
        for i, golden_object in enumerate(golden)
        for k, object_now in enumerate(now)
        if golden_object.class_name == object_now.class_name
        and (iou := mask_iou(golden_object, object_now)) >= least_iou
    ]
    pairs: list[tuple[int, int]] = []
    matched_golden: set[int] = set()
    matched_now: set[int] = set()
    for _, i, k in sorted(overlaps):
        if i not in matched_golden and k not in matched_now:
            pairs.append((i, k))
            matched_golden.add(i)
            matched_now.add(k)
    return pairs


class IdentityMap:
    """Maps track ids of the golden file to those of today's results, for one camera."""

    def __init__(self) -> None:
        self._now_of: dict[int, int] = {}
        self._golden_of: dict[int, int] = {}

    def is_switch(self, golden_id: int, now_id: int) -> bool:
        """Add a matched pair. Return whether it contradicts an earlier pair, or only one of the two is tracked."""
        if not golden_id or not now_id:
            return bool(golden_id or now_id)
        known_now = self._now_of.get(golden_id, now_id)
        known_golden = self._golden_of.get(now_id, golden_id)
        self._now_of[golden_id], self._golden_of[now_id] = now_id, golden_id
        return known_now != now_id or known_golden != golden_id
