"""Two answers to one recording compared: overlap by class, objects, identities, positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.replay.results import FoundObject, FrameResult

_NOISE = 1e-5
"""Share of all pixels: a class that differs in fewer is not told from rounding."""
_NOT_LOOKED_FOR = "not looked for any more"


@dataclass(frozen=True)
class Tolerances:
    """What still counts as the same.

    iou: least overlap of a class over all frames, 0..1. match_iou: least overlap of two masks of one object. missed,
    new: share of the golden objects. switches: share of the matched objects. position_m: for 95 % of the matched
    objects. dropped: share of the frames. exact: every pixel, score, mask, position and identity must be equal.
    """

    iou: float = 0.98
    match_iou: float = 0.5
    missed: float = 0.01
    new: float = 0.01
    switches: float = 0.01
    position_m: float = 0.02
    dropped: float = 0.0
    exact: bool = False


@dataclass(frozen=True)
class ClassVerdict:
    """One class over all frames. golden, now: pixels; found, missed, new: objects."""

    name: str
    passed: bool
    iou: float
    golden: int
    now: int
    found: int
    missed: int
    new: int
    note: str = ""


@dataclass(frozen=True)
class Check:
    """One thing that is measured over all classes; value and limit are for people."""

    name: str
    passed: bool
    value: str
    limit: str


@dataclass(frozen=True)
class Verdict:
    """What came of a comparison. frames: compared; differing: those with any difference beyond a tolerance."""

    frames: int
    differing: int
    classes: tuple[ClassVerdict, ...]
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return all(c.passed for c in self.classes) and all(c.passed for c in self.checks)

    @property
    def mean_iou(self) -> float:
        """Over the classes; 1 without any."""
        return float(np.mean([c.iou for c in self.classes])) if self.classes else 1.0


def mask_iou(one: FoundObject, other: FoundObject) -> float:
    """Intersection over union of two masks, 0..1."""
    a, b = one.box, other.box
    left, right = max(a.left, b.left), min(a.left + a.width, b.left + b.width)
    top, bottom = max(a.top, b.top), min(a.top + a.height, b.top + b.height)
    if left >= right or top >= bottom:
        return 0.0
    common = (
        one.mask[top - a.top : bottom - a.top, left - a.left : right - a.left]
        & other.mask[top - b.top : bottom - b.top, left - b.left : right - b.left]
    )
    intersection = int(np.count_nonzero(common))
    return intersection / (one.area + other.area - intersection)


def match_objects(
    golden: Sequence[FoundObject], now: Sequence[FoundObject], least_iou: float
) -> list[tuple[int, int]]:
    """Indices of pairs of one class, each object in one pair at most; the best overlap goes first."""
    overlaps = [
        (-iou, i, k)
        for i, thing in enumerate(golden)
        for k, other in enumerate(now)
        if thing.class_name == other.class_name and (iou := mask_iou(thing, other)) >= least_iou
    ]
    pairs: list[tuple[int, int]] = []
    taken_golden: set[int] = set()
    taken_now: set[int] = set()
    for _, i, k in sorted(overlaps):
        if i not in taken_golden and k not in taken_now:
            pairs.append((i, k))
            taken_golden.add(i)
            taken_now.add(k)
    return pairs


class _Renaming:
    """Which track id now stands for which one of the golden file."""

    def __init__(self) -> None:
        self._now_of: dict[int, int] = {}
        self._golden_of: dict[int, int] = {}

    def is_switch(self, golden_id: int, now_id: int) -> bool:
        """Whether this pair contradicts the last one of either, or only one of the two is tracked."""
        if not golden_id or not now_id:
            return bool(golden_id or now_id)
        before, meant = self._now_of.get(golden_id, now_id), self._golden_of.get(now_id, golden_id)
        self._now_of[golden_id], self._golden_of[now_id] = now_id, golden_id
        return before != now_id or meant != golden_id


def all_classes(golden_classes: Sequence[str], now_classes: Sequence[str]) -> tuple[str, ...]:
    """The golden file's names first, then those that only the node has now."""
    return tuple(dict.fromkeys((*golden_classes, *now_classes)))


class Comparison:
    """Takes pairs of frames in the order of the recording and adds up.

    golden_classes, now_classes: the names that were and are looked for. Label images count in `all_classes` of them.
    """

    def __init__(
        self, golden_classes: Sequence[str], now_classes: Sequence[str], tolerances: Tolerances
    ) -> None:
        classes = all_classes(golden_classes, now_classes)
        self._names = classes
        self._notes = dict.fromkeys(classes[len(golden_classes) :], "not in the golden file")
        self._notes |= {n: _NOT_LOOKED_FOR for n in golden_classes if n not in set(now_classes)}
        self._tolerances = tolerances
        self._pixels = 0
        length = len(classes) + 1
        self._intersection, self._golden, self._now = np.zeros((3, length), np.int64)
        self._found, self._missed, self._new = (dict.fromkeys(classes, 0) for _ in range(3))
        self._renamings: dict[str, _Renaming] = {}
        self._tracked = self._switches = 0
        self._distances_m: list[float] = []
        self._frames = self._differing = self._unanswered = self._not_exact = 0

    def add_unanswered(self) -> None:
        """A frame for which no results came."""
        self._unanswered += 1

    def add(self, golden: FrameResult, now: FrameResult) -> tuple[str, ...]:
        """What differs in this frame beyond the tolerances, in words; empty when nothing does.

        Raises ValueError when the label images differ in size.
        """
        if golden.label.shape != now.label.shape:
            raise ValueError(f"label images of {golden.label.shape} and {now.label.shape}")
        self._frames += 1
        reasons = [*self._add_labels(golden.label, now.label), *self._add_objects(golden, now)]
        if self._tolerances.exact and not is_exactly(golden, now):
            self._not_exact += 1
            reasons = reasons or ["not exactly the same"]
        self._differing += bool(reasons)
        return tuple(reasons)

    def _add_labels(self, golden: NDArray[np.uint16], now: NDArray[np.uint16]) -> list[str]:
        length = len(self._names) + 1
        common = np.bincount(golden[golden == now], minlength=length)
        golden_areas = np.bincount(golden.ravel(), minlength=length)
        now_areas = np.bincount(now.ravel(), minlength=length)
        self._pixels += golden.size
        self._intersection += common
        self._golden += golden_areas
        self._now += now_areas
        union = golden_areas + now_areas - common
        return [
            f"{self._names[number - 1]}: IoU {common[number] / union[number]:.2f}"
            for number in range(1, length)
            if union[number] and common[number] < self._tolerances.iou * union[number]
        ]

    def _add_objects(self, golden: FrameResult, now: FrameResult) -> list[str]:
        pairs = match_objects(golden.objects, now.objects, self._tolerances.match_iou)
        reasons = []
        for i in sorted(set(range(len(golden.objects))) - {i for i, _ in pairs}):
            self._missed[golden.objects[i].class_name] += 1
            reasons.append(f"{golden.objects[i].class_name} missed")
        for k in sorted(set(range(len(now.objects))) - {k for _, k in pairs}):
            self._new[now.objects[k].class_name] += 1
            reasons.append(f"{now.objects[k].class_name} new")
        for i, k in sorted(pairs):
            self._found[golden.objects[i].class_name] += 1
            reasons += self._add_pair(golden.camera, golden.objects[i], now.objects[k])
        return reasons

    def _add_pair(self, camera: str, golden: FoundObject, now: FoundObject) -> list[str]:
        reasons = []
        self._tracked += bool(golden.track_id or now.track_id)
        if self._renamings.setdefault(camera, _Renaming()).is_switch(golden.track_id, now.track_id):
            self._switches += 1
            reasons.append(f"{golden.class_name}: identity {golden.track_id} is {now.track_id} now")
        if golden.position_m is not None or now.position_m is not None:
            if golden.position_m is None or now.position_m is None:
                distance_m = math.inf
            else:
                distance_m = math.dist(golden.position_m, now.position_m)
            self._distances_m.append(distance_m)
            if distance_m > self._tolerances.position_m:
                gone = "position lost" if now.position_m is None else "position where none was"
                off = f"{distance_m:.3f} m off" if math.isfinite(distance_m) else gone
                reasons.append(f"{golden.class_name}: {off}")
        return reasons

    # --- the end ---

    def verdict(self) -> Verdict:
        return Verdict(self._frames, self._differing, self._class_verdicts(), self._checks())

    def _class_verdicts(self) -> tuple[ClassVerdict, ...]:
        union = self._golden + self._now - self._intersection
        verdicts = []
        for number, name in enumerate(self._names, start=1):
            iou = float(self._intersection[number] / union[number]) if union[number] else 1.0
            differing = int(union[number] - self._intersection[number])
            note = self._notes.get(name, "")
            same = iou >= self._tolerances.iou or differing <= _NOISE * self._pixels
            passed = same and note != _NOT_LOOKED_FOR
            verdicts.append(
                ClassVerdict(
                    name,
                    passed,
                    iou,
                    int(self._golden[number]),
                    int(self._now[number]),
                    self._found[name],
                    self._missed[name],
                    self._new[name],
                    note,
                )
            )
        return tuple(verdicts)

    def _checks(self) -> tuple[Check, ...]:
        limits = self._tolerances
        found, missed, new = (sum(of.values()) for of in (self._found, self._missed, self._new))
        checks = [
            _share_check(
                "frames answered", self._unanswered, self._frames + self._unanswered, limits.dropped,
                "without an answer",
            ),
            _share_check("objects missed", missed, found + missed, limits.missed, "missed"),
            _share_check("objects new", new, found + missed, limits.new, "new"),
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
        return tuple(checks)


def _share_check(name: str, count: int, of: int, limit: float, what: str) -> Check:
    share = count / of if of else float(count > 0)
    return Check(name, share <= limit, f"{count} of {of} {what} ({share:.2%})", f"{limit:.1%}")


def is_exactly(golden: FrameResult, now: FrameResult) -> bool:
    """Whether two results are equal in every pixel and every number."""
    if not np.array_equal(golden.label, now.label) or len(golden.objects) != len(now.objects):
        return False
    return all(
        one is not None and other is not None and _is_same_object(one, other)
        for one, other in zip_longest(golden.objects, now.objects)
    )


def _is_same_object(one: FoundObject, other: FoundObject) -> bool:
    return (
        one.class_name == other.class_name
        and one.score == other.score
        and one.box == other.box
        and one.track_id == other.track_id
        and one.position_m == other.position_m
        and np.array_equal(one.mask, other.mask)
    )
