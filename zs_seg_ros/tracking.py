"""Identities: the same thing keeps its track_id from frame to frame.

Norfair (norfair-enough, the maintained one) tracks: it begins tracks, predicts and matches. It counts
frames and knows points; this module gives it seconds, the sizes of things, and ids that are never given
twice. The first Tracker of a process imports it, and with it scipy, which takes about a second.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import DetectedObject

if TYPE_CHECKING:
    from norfair import Detection, Distance
    from norfair.filter import OptimizedKalmanFilter
    from norfair.tracker import TrackedObject

LONGEST_ABSENCE_S = 4.0
"""A thing that is hidden or out of the picture for longer is another one when it comes back."""

# Tuned on the shipped recording at 1 to 10 Hz, with true and with predicted masks. Lengths are in
# sizes, the diagonals of boxes, so that they hold at any resolution.
_REACH = 0.5
"""How far from where its track leads a thing may be found, at the least."""
_REACH_GROWTH_PER_S = 1.0
"""And how much farther for each second since it was seen: the camera may turn meanwhile."""
_SIZE_KEPT_S = 1.0
"""What is about to be hidden looks smaller and smaller: a track's size shrinks no faster than this."""
_SPEED_KEPT_S = 0.5
"""A thing out of sight is thought to go on for this long, ever more slowly."""
_SMALLEST_SIZE_PX = 10.0
"""Things jump by some pixels however small they are."""
_AREA_WEIGHT = 0.25
"""Of two parts that a thing falls into, the one with most of its area is the thing."""
_NEWCOMER_PENALTY = 0.3
"""A track that was seen only once gives way to one with an id."""

# What the Kalman filters expect.
_JITTER_PX = 1.5
_SPEED_PX_S = 200.0
_ACCELERATION_PX_S2 = 50.0

_SHORTEST_STEP_S = 1e-3  # two frames may carry one stamp
_FOR_EVER = 1_000_000  # frames: Norfair leaves it to this module when a track ends
_LARGEST_ID = 2**32 - 1

_numbers = itertools.count(1)
_numbers_lock = threading.Lock()


def _new_track_id(numbers: Iterator[int]) -> int:
    """The next one; 0, not tracked, should uint32 ever be used up."""
    with _numbers_lock:
        number = next(numbers)
    return number if number <= _LARGEST_ID else 0


@dataclass
class _Sighting:
    """A thing in a frame; what its track remembers, the id and the size, goes from one to the next."""

    stamp_ns: int
    class_id: int
    area_px: int
    size_px: float
    track_id: int = 0


def _last_seen(track: TrackedObject) -> _Sighting:
    sighting: _Sighting = track.last_detection.data
    return sighting


class Tracker:
    """Finds the things of one camera again, each within its class. Not thread-safe.

    A thing gets its track_id when it is found in a second frame running, and keeps it unless it is
    not seen for LONGEST_ABSENCE_S. Ids are unique within the process: another thing or camera never
    gets one again, nor does the same thing after a fresh start.
    """

    def __init__(self, numbers: Iterator[int] | None = None) -> None:
        """numbers: where ids come from; unless given, they are unique within the process."""
        self._numbers = _numbers if numbers is None else numbers
        self._vocabulary_version: int | None = None
        self._stamp_ns = 0
        self._start_afresh()

    def _start_afresh(self) -> None:
        import norfair

        self._step_s = 1.0
        self._filters = norfair.OptimizedKalmanFilterFactory(R=_JITTER_PX**2)
        self._norfair = norfair.Tracker(
            distance_function="euclidean",
            distance_threshold=math.inf,
            hit_counter_max=_FOR_EVER,
            initialization_delay=0,
            filter_factory=self._filters,
            past_detections_length=0,
        )
        self._norfair.distance_function = cast("Distance", _DistanceInSizes())

    def update(
        self, objects: Sequence[DetectedObject], stamp_ns: int, vocabulary_version: int
    ) -> tuple[DetectedObject, ...]:
        """The same objects in the same order, with their track_id; 0 for those that are new.

        Call it for every frame, also for one without objects, at any rate. It starts afresh with
        another vocabulary, a stamp before the last one, or one LONGEST_ABSENCE_S after it.
        """
        if vocabulary_version != self._vocabulary_version or stamp_ns < self._stamp_ns:
            self._start_afresh()
        self._forget_the_lost(stamp_ns)
        self._set_step(stamp_ns)
        self._vocabulary_version, self._stamp_ns = vocabulary_version, stamp_ns

        detections = _detections(objects, stamp_ns)
        seen_before = {track: _last_seen(track) for track in self._norfair.tracked_objects}
        self._norfair.update(detections, period=_FOR_EVER)
        for track, before in seen_before.items():
            now = _last_seen(track)
            if now is not before:
                now.track_id = before.track_id or _new_track_id(self._numbers)
                shrunk_px = before.size_px * math.exp(-self._step_s / _SIZE_KEPT_S)
                now.size_px = max(now.size_px, shrunk_px)
        return tuple(
            replace(thing, track_id=detection.data.track_id)
            for thing, detection in zip(objects, detections, strict=True)
        )

    def _forget_the_lost(self, stamp_ns: int) -> None:
        """And those that were seen for the first time in the frame before the last one."""
        self._norfair.tracked_objects = [
            track
            for track in self._norfair.tracked_objects
            if stamp_ns - _last_seen(track).stamp_ns < LONGEST_ABSENCE_S * 1e9
            and (_last_seen(track).track_id or _last_seen(track).stamp_ns == self._stamp_ns)
        ]

    def _set_step(self, stamp_ns: int) -> None:
        """Norfair's filters step once per frame: tell them how long this step is.

        The speeds in them, and all their variances, are per step.
        """
        elapsed_s = (stamp_ns - self._stamp_ns) * 1e-9
        step_s = min(max(elapsed_s, _SHORTEST_STEP_S), LONGEST_ABSENCE_S)
        change, self._step_s = step_s / self._step_s, step_s
        self._filters.vel_variance = (_SPEED_PX_S * step_s) ** 2
        self._filters.Q = (_ACCELERATION_PX_S2 * step_s) ** 2
        for track in self._norfair.tracked_objects:
            motion = cast("OptimizedKalmanFilter", track.filter)
            motion.q_Q = self._filters.Q
            motion.vel_variance *= change**2
            motion.pos_vel_covariance *= change
            motion.x[motion.dim_z :] *= change
            if _last_seen(track).stamp_ns < self._stamp_ns:
                motion.x[motion.dim_z :] *= math.exp(-step_s / _SPEED_KEPT_S)
                motion.pos_variance += motion.vel_variance


def _detections(objects: Sequence[DetectedObject], stamp_ns: int) -> list[Detection]:
    from norfair import Detection

    detections = []
    for thing in objects:
        box = thing.box
        centre_px = np.array([[box.left + box.width / 2, box.top + box.height / 2]])
        size_px = max(_SMALLEST_SIZE_PX, math.hypot(box.width, box.height))
        sighting = _Sighting(stamp_ns, thing.class_id, max(1, thing.area), size_px)
        detections.append(Detection(centre_px, data=sighting))
    return detections


class _DistanceInSizes:
    """From where tracks lead to what was found, infinite beyond a track's reach or class.

    Among several tracks within reach those come first that were seen lately, and as large.
    """

    def get_distances(
        self, objects: Sequence[TrackedObject], candidates: Sequence[Detection] | None
    ) -> NDArray[np.float64]:
        """(C, T) float64, for C candidates and T tracks."""
        if not objects or not candidates:
            return np.full((len(candidates or ()), len(objects)), np.inf)
        things = [detection.data for detection in candidates]
        tracks = [_last_seen(track) for track in objects]
        found_px = np.array([detection.points[0] for detection in candidates])
        predicted_px = np.array([track.estimate[0] for track in objects])
        size_px = np.add.outer([s.size_px for s in things], [s.size_px for s in tracks]) / 2
        distance = np.linalg.norm(found_px[:, None] - predicted_px, axis=2) / size_px
        unseen_s = (things[0].stamp_ns - np.array([s.stamp_ns for s in tracks])) * 1e-9
        same_class = np.equal.outer([s.class_id for s in things], [s.class_id for s in tracks])
        within_reach = same_class & (distance < _REACH + _REACH_GROWTH_PER_S * unseen_s)

        newcomer = np.array([s.track_id == 0 for s in tracks])
        log_areas = [np.log([s.area_px for s in side]) for side in (things, tracks)]
        handicap = (
            unseen_s
            + _NEWCOMER_PENALTY * newcomer
            + _AREA_WEIGHT * np.abs(np.subtract.outer(*log_areas))
        )
        return np.where(within_reach, distance + handicap, np.inf)
