# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Multi-object tracking: the same object keeps its track_id from frame to frame.

A Kalman filter with constant velocity predicts the position of each track (Kalman 1960, "A new approach to linear
filtering and prediction problems"); the nearest detection of its class, in units of object size, is its object.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import Box, DetectedObject

LONGEST_ABSENCE_S = 4.0
"""An object that is hidden or out of the image for longer gets another track id when it is detected again."""

# Tuned on the shipped recording at 1 to 10 Hz, with true and with predicted masks. Lengths are in
# units of object size, the diagonal of the bounding box, so that they hold at any resolution.
_REACH = 0.5
"""How far a detection may lie from the predicted position of its track, at least."""
_REACH_GROWTH_PER_S = 1.0
"""How much farther for each second without a detection, since the camera may turn meanwhile."""
_SIZE_KEPT_S = 1.0
"""The time constant with which the size of a track may shrink: the box of an object shrinks while it gets hidden."""
_SPEED_KEPT_S = 0.5
"""The time constant with which the predicted speed of an undetected object decays."""
_SMALLEST_SIZE_PX = 10.0
"""The least object size: positions of small objects jitter by some pixels, too."""
_AREA_WEIGHT = 0.25
"""The weight of a difference in area: of two parts of an occluded object, the larger one keeps the track id."""
_NEWCOMER_PENALTY = 0.3
"""The handicap of a track with only one detection against one with an id."""

# Standard deviations of the Kalman filters.
_JITTER_PX = 1.5
_FIRST_JITTER_PX = 3.0
_SPEED_PX_S = 200.0
_SPEED_CHANGE_PX_S = 50.0  # from one frame to the next

_SHORTEST_STEP_S = 1e-3  # two frames may carry one stamp
_LARGEST_ID = 2**32 - 1

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

_numbers = itertools.count(1)
_numbers_lock = threading.Lock()


def new_track_id() -> int:
    """Return an id that no track of the process has; 0 (not tracked) when all ids of uint32 are used."""
    return _new_track_id(_numbers)


def _new_track_id(numbers: Iterator[int]) -> int:
    with _numbers_lock:
        number = next(numbers)
    return number if number <= _LARGEST_ID else 0


class Tracker:
    """Tracks the objects of one camera, each within its class. Not thread-safe.

    An object gets its track_id when it is detected in two consecutive frames, and keeps it unless it
    is not detected for LONGEST_ABSENCE_S. Ids are unique within the process: no other object or
    camera gets the same id, nor does the same object after a reset.
    """

    def __init__(self, numbers: Iterator[int] | None = None) -> None:
        """Create a tracker. numbers: the source of ids; by default all trackers of the process share one."""
        self._numbers = _numbers if numbers is None else numbers
        self._vocabulary_version: int | None = None
        self._stamp_ns = 0
        self._tracks = _new_tracks((), 0)

    def update(
        self, objects: Sequence[DetectedObject], stamp_ns: int, vocabulary_version: int
    ) -> tuple[DetectedObject, ...]:
        """Return the same objects in the same order, with their track_id; 0 for new ones.

        Call it for every frame, also for one without objects, at any rate. All tracks end with another
        vocabulary, a stamp before the last one, or one LONGEST_ABSENCE_S after it.
        """
        if vocabulary_version != self._vocabulary_version or stamp_ns < self._stamp_ns:
            self._tracks = _new_tracks((), 0)
        tracks = _without_lost_tracks(self._tracks, self._stamp_ns, stamp_ns)
        step_s = (stamp_ns - self._stamp_ns) * 1e-9
        step_s = min(max(step_s, _SHORTEST_STEP_S), LONGEST_ABSENCE_S)
        _predict(tracks, step_s, self._stamp_ns)
        detections = _new_tracks(objects, stamp_ns)
        detection, track = _nearest_pairs(_distances(detections, tracks))
        matched = tracks[track]
        new = matched.track_id == 0
        if new.any():
            matched.track_id[new] = [_new_track_id(self._numbers) for _ in range(new.sum())]
        _correct(detections, detection, matched, step_s)
        self._tracks = detections
        if len(track) < len(tracks):
            unmatched = np.ones(len(tracks), np.bool_)
            unmatched[track] = False
            self._tracks = tracks[unmatched].joined(detections)
        self._vocabulary_version, self._stamp_ns = vocabulary_version, stamp_ns
        return tuple(map(_with_track_id, objects, detections.track_id.tolist()))


class _Tracks:
    """The states of T tracks; views (T,) of two arrays unless noted otherwise: calls of numpy cost more than numbers.

    track_id: 0 for an object that was detected once. detected_ns: the stamp of the frame of the last detection.
    position_px and speed_px_s: (T, 2), the filters' estimates for x and y, which share the variances and the covariance
    of position and speed.
    """

    def __init__(self, integers: Integers, floats: Floats) -> None:
        """Create tracks of (T, 3) and (T, 9) values."""
        self._integers, self._floats = integers, floats
        self.track_id, self.class_id, self.detected_ns = integers.T
        self.position_px, self.speed_px_s = floats[:, :2], floats[:, 2:4]
        self.area_px, self.size_px = floats[:, 4], floats[:, 5]
        self.position_variance, self.covariance, self.speed_variance = floats[:, 6:].T

    def __len__(self) -> int:
        return len(self._integers)

    def __getitem__(self, chosen: NDArray[Any]) -> _Tracks:
        return _Tracks(self._integers[chosen], self._floats[chosen])

    def put(self, places: Integers, others: _Tracks) -> None:
        """Put other tracks in these places."""
        self._integers[places], self._floats[places] = others._integers, others._floats

    def joined(self, others: _Tracks) -> _Tracks:
        """Return these tracks and the others."""
        pairs = (self._integers, others._integers), (self._floats, others._floats)
        return _Tracks(np.concatenate(pairs[0]), np.concatenate(pairs[1]))


def _new_tracks(objects: Sequence[DetectedObject], stamp_ns: int) -> _Tracks:
    """Return the detections of a frame, each as a new track."""
    integers = [(0, each.class_id, stamp_ns) for each in objects]
    floats = [_first_state(each.box, each.area) for each in objects]
    return _Tracks(
        np.array(integers, np.int64).reshape(-1, 3), np.array(floats, np.float64).reshape(-1, 9)
    )


def _first_state(box: Box, area_px: int) -> tuple[float, ...]:
    """Return the floats of an object that is detected for the first time."""
    x, y = box.left + box.width / 2, box.top + box.height / 2
    size_px = max(_SMALLEST_SIZE_PX, math.hypot(box.width, box.height))
    return x, y, 0, 0, max(1, area_px), size_px, _FIRST_JITTER_PX**2, 0, _SPEED_PX_S**2


def _with_track_id(detected: DetectedObject, track_id: int) -> DetectedObject:
    """Return the object with another id, and with the area if that is computed; `replace` takes many times as long."""
    tracked = object.__new__(type(detected))
    vars(tracked).update(vars(detected), track_id=track_id)
    return tracked


def _without_lost_tracks(tracks: _Tracks, last_stamp_ns: int, stamp_ns: int) -> _Tracks:
    """Remove tracks without a detection for too long, and those with one detection, before the last frame."""
    lately = stamp_ns - tracks.detected_ns < LONGEST_ABSENCE_S * 1e9
    stays = lately & ((tracks.track_id > 0) | (tracks.detected_ns == last_stamp_ns))
    return tracks if stays.all() else tracks[stays]


def _predict(tracks: _Tracks, step_s: float, last_stamp_ns: int) -> None:
    """Predict the states `step_s` later, in place."""
    undetected = tracks.detected_ns < last_stamp_ns
    tracks.speed_px_s[undetected] *= math.exp(-step_s / _SPEED_KEPT_S)
    tracks.position_px += tracks.speed_px_s * step_s
    tracks.position_variance += (
        2 * step_s * tracks.covariance
        + step_s**2 * tracks.speed_variance
        + (_SPEED_CHANGE_PX_S * step_s) ** 2
    )
    tracks.covariance += step_s * tracks.speed_variance
    tracks.speed_variance += _SPEED_CHANGE_PX_S**2


def _correct(detections: _Tracks, matched: Integers, tracks: _Tracks, step_s: float) -> None:
    """Continue `tracks` with the detections at the indices `matched`, in place: the filters' correction step."""
    corrected = detections[matched]
    corrected.track_id[:] = tracks.track_id
    shrunk_px = tracks.size_px * math.exp(-step_s / _SIZE_KEPT_S)
    np.maximum(corrected.size_px, shrunk_px, out=corrected.size_px)

    total_variance = tracks.position_variance + _JITTER_PX**2
    position_gain = tracks.position_variance / total_variance
    speed_gain = tracks.covariance / total_variance
    innovation_px = corrected.position_px - tracks.position_px
    corrected.position_px[:] = tracks.position_px + position_gain[:, None] * innovation_px
    corrected.speed_px_s[:] = tracks.speed_px_s + speed_gain[:, None] * innovation_px
    corrected.position_variance[:] = position_gain * _JITTER_PX**2
    corrected.speed_variance[:] = tracks.speed_variance - speed_gain * tracks.covariance
    corrected.covariance[:] = speed_gain * _JITTER_PX**2
    detections.put(matched, corrected)


def _distances(detections: _Tracks, tracks: _Tracks) -> Floats:
    """Return (D, T): from detections to predicted positions, in object sizes; infinite beyond a track's reach or class.

    Tracks that were detected long ago, or with another area, get a handicap.
    """
    away_px = np.hypot(*(detections.position_px[:, None] - tracks.position_px).transpose(2, 0, 1))
    distance = away_px / (np.add.outer(detections.size_px, tracks.size_px) / 2)
    undetected_s = np.subtract.outer(detections.detected_ns, tracks.detected_ns) * 1e-9
    same_class = np.equal.outer(detections.class_id, tracks.class_id)
    within_reach = same_class & (distance < _REACH + _REACH_GROWTH_PER_S * undetected_s)
    handicap = (
        undetected_s
        + _NEWCOMER_PENALTY * (tracks.track_id == 0)
        + _AREA_WEIGHT
        * np.abs(np.subtract.outer(np.log(detections.area_px), np.log(tracks.area_px)))
    )
    return np.where(within_reach, distance + handicap, np.inf)


def _nearest_pairs(distances: Floats) -> tuple[Integers, Integers]:
    """Return rows and columns of (D, T) distances, nearest first, each in one pair at most.

    The pairs with the least sum (Hungarian method) would take detections away from tracks that predict them exactly.
    """
    rows, columns = np.nonzero(np.isfinite(distances))
    nearest_first = np.argsort(distances[rows, columns], kind="stable")
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for row, column in zip(
        rows[nearest_first].tolist(), columns[nearest_first].tolist(), strict=True
    ):
        if row not in pairs and column not in taken:
            pairs[row] = column
            taken.add(column)
    return np.array(list(pairs), np.int64), np.array(list(pairs.values()), np.int64)
