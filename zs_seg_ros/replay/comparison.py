# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Compares a node's results with the golden ones: IoU of each class, objects, identities, positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.replay.frame_difference import FrameDifference
from zs_seg_ros.replay.object_matching import IdentityMap, match_objects
from zs_seg_ros.replay.results import FrameResult, ObjectResult, are_identical
from zs_seg_ros.replay.verdict import Check, ClassVerdict, Tolerances, Verdict

_NOISE = 1e-5
"""Share of all pixels: a class that differs in fewer may differ by rounding alone."""
_NOT_IN_VOCABULARY = "no longer in the vocabulary"


def all_classes(golden_classes: Sequence[str], now_classes: Sequence[str]) -> tuple[str, ...]:
    """Return the classes of the golden file, then those that only the node has now."""
    return tuple(dict.fromkeys((*golden_classes, *now_classes)))


class Comparison:
    """Accumulates the differences of frames, which are added in the order of the recording.

    golden_classes, now_classes: names of the vocabularies, then and now. A pixel n of a label image is the n-th
    name, from 1, of `all_classes` of both.
    """

    def __init__(
        self, golden_classes: Sequence[str], now_classes: Sequence[str], tolerances: Tolerances
    ) -> None:
        classes = all_classes(golden_classes, now_classes)
        self._names = classes
        self._notes = dict.fromkeys(classes[len(golden_classes) :], "not in the golden file")
        self._notes |= {n: _NOT_IN_VOCABULARY for n in golden_classes if n not in set(now_classes)}
        self._tolerances = tolerances
        self._pixels = 0
        length = len(classes) + 1
        self._intersection, self._golden, self._now = np.zeros((3, length), np.int64)
        self._matched, self._missed, self._new = (dict.fromkeys(classes, 0) for _ in range(3))
        self._identities: dict[str, IdentityMap] = {}
        self._tracked = self._switches = 0
        self._distances_m: list[float] = []
        self._frames = self._differing = self._without_result = self._not_exact = 0
        self._worst: dict[str, tuple[float, str]] = {}

    def add_without_result(self) -> None:
        """Count a frame for which the node gave no results."""
        self._without_result += 1

    def add(self, golden: FrameResult, now: FrameResult) -> FrameDifference:
        """Add a frame. Return its differences; its reasons are those beyond the tolerances.

        Raises ValueError when the label images differ in size.
        """
        if golden.label.shape != now.label.shape:
            raise ValueError(f"label images of {golden.label.shape} and {now.label.shape}")
        self._frames += 1
        worst: dict[str, float] = {}
        reasons, pixels = self._add_labels(golden.label, now.label, worst)
        reasons += self._add_objects(golden, now, worst)
        if self._tolerances.exact and not are_identical(golden, now):
            self._not_exact += 1
            reasons = reasons or ["not exactly the same"]
            worst["exactness"] = 1.0
        self._differing += bool(reasons)
        labelled = np.count_nonzero(golden.label | now.label)
        share = np.count_nonzero(golden.label != now.label) / max(1, labelled)
        difference = FrameDifference(
            golden.camera, golden.index, golden.stamp_ns, tuple(reasons), float(share), pixels
        )
        for name, amount in worst.items():
            if amount > self._worst.get(name, (0.0, ""))[0]:
                self._worst[name] = amount, difference.title
        return difference

    def _add_labels(
        self, golden: NDArray[np.uint16], now: NDArray[np.uint16], worst: dict[str, float]
    ) -> tuple[list[str], dict[str, int]]:
        """Return the reasons, and the differing pixels of each class."""
        length = len(self._names) + 1
        common = np.bincount(golden[golden == now], minlength=length)
        golden_areas = np.bincount(golden.ravel(), minlength=length)
        now_areas = np.bincount(now.ravel(), minlength=length)
        self._pixels += golden.size
        self._intersection += common
        self._golden += golden_areas
        self._now += now_areas
        union = golden_areas + now_areas - common
        differing = union - common
        reasons = []
        pixels = {}
        for number in np.flatnonzero(differing[1:]) + 1:
            name = self._names[number - 1]
            pixels[name] = int(differing[number])
            worst[_class_key(name)] = float(differing[number])
            if common[number] < self._tolerances.iou * union[number]:
                reasons.append(f"{name}: IoU {common[number] / union[number]:.3f}")
        return reasons, pixels

    def _add_objects(
        self, golden: FrameResult, now: FrameResult, worst: dict[str, float]
    ) -> list[str]:
        pairs = match_objects(golden.objects, now.objects, self._tolerances.match_iou)
        reasons = []
        for i in sorted(set(range(len(golden.objects))) - {i for i, _ in pairs}):
            self._missed[golden.objects[i].class_name] += 1
            worst["objects missed"] = worst.get("objects missed", 0) + 1
            reasons.append(f"{golden.objects[i].class_name} missed")
        for k in sorted(set(range(len(now.objects))) - {k for _, k in pairs}):
            self._new[now.objects[k].class_name] += 1
            worst["objects new"] = worst.get("objects new", 0) + 1
            reasons.append(f"{now.objects[k].class_name} new")
        for i, k in sorted(pairs):
            self._matched[golden.objects[i].class_name] += 1
            reasons += self._add_pair(golden.camera, golden.objects[i], now.objects[k], worst)
        return reasons

    def _add_pair(
        self, camera: str, golden: ObjectResult, now: ObjectResult, worst: dict[str, float]
    ) -> list[str]:
        reasons = []
        self._tracked += bool(golden.track_id or now.track_id)
        identities = self._identities.setdefault(camera, IdentityMap())
        if identities.is_switch(golden.track_id, now.track_id):
            self._switches += 1
            worst["identities"] = worst.get("identities", 0) + 1
            reasons.append(f"{golden.class_name}: identity {golden.track_id} is {now.track_id} now")
        if golden.position_m is not None or now.position_m is not None:
            if golden.position_m is None or now.position_m is None:
                distance_m = math.inf
            else:
                distance_m = math.dist(golden.position_m, now.position_m)
            self._distances_m.append(distance_m)
            worst["positions"] = max(distance_m, worst.get("positions", 0.0))
            if distance_m > self._tolerances.position_m:
                one_sided = "position lost" if now.position_m is None else "position new"
                text = f"{distance_m:.3f} m off" if math.isfinite(distance_m) else one_sided
                reasons.append(f"{golden.class_name}: {text}")
        return reasons

    # --- the verdict ---

    def verdict(self) -> Verdict:
        """Judge everything that was added."""
        return Verdict(self._frames, self._differing, self._class_verdicts(), self._checks())

    def _class_verdicts(self) -> tuple[ClassVerdict, ...]:
        union = self._golden + self._now - self._intersection
        verdicts = []
        for number, name in enumerate(self._names, start=1):
            iou = float(self._intersection[number] / union[number]) if union[number] else 1.0
            differing = int(union[number] - self._intersection[number])
            note = self._notes.get(name, "")
            same = iou >= self._tolerances.iou or differing <= _NOISE * self._pixels
            passed = same and note != _NOT_IN_VOCABULARY
            verdicts.append(
                ClassVerdict(
                    name,
                    passed,
                    iou,
                    int(self._golden[number]),
                    int(self._now[number]),
                    self._matched[name],
                    self._missed[name],
                    self._new[name],
                    note,
                    self._tolerances.iou,
                    self._worst_frame(_class_key(name)),
                )
            )
        return tuple(verdicts)

    def _checks(self) -> tuple[Check, ...]:
        limits = self._tolerances
        matched, missed, new = (
            sum(counts.values()) for counts in (self._matched, self._missed, self._new)
        )
        checks = [
            _share_check(
                "frames answered", self._without_result, self._frames + self._without_result,
                limits.dropped, "without results",
            ),
            _share_check("objects missed", missed, matched + missed, limits.missed, "missed"),
            _share_check("objects new", new, matched + missed, limits.new, "new"),
            _share_check(
                "identities", self._switches, self._tracked, limits.switches, "switched"
            ),
        ]  # fmt: skip
        if self._distances_m:
            far_m = float(np.percentile(self._distances_m, 95, method="lower"))
            checks.append(
                Check(
                    "positions",
                    far_m <= limits.position_m,
                    f"95 % within {far_m:.4f} m" if math.isfinite(far_m) else "lost or new",
                    f"{limits.position_m:g} m",
                )
            )
        if limits.exact:
            text = f"{self._not_exact} of {self._frames} frames differ"
            checks.append(Check("exactness", self._not_exact == 0, text, "none"))
        return tuple(replace(c, worst_frame=self._worst_frame(c.name)) for c in checks)

    def _worst_frame(self, key: str) -> str:
        return self._worst.get(key, (0.0, ""))[1]


def _class_key(name: str) -> str:
    """Return a key that no check has."""
    return f"class {name}"


def _share_check(name: str, count: int, of: int, limit: float, what: str) -> Check:
    share = count / of if of else float(count > 0)
    return Check(name, share <= limit, f"{count} of {of} {what} ({share:.2%})", f"{limit:.1%}")
