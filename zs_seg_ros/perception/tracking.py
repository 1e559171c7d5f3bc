"""Identities: the same thing keeps its track_id from frame to frame.

A Kalman filter of constant speed says where a thing should be (Kalman 1960, "A new approach to linear filtering and
prediction problems"); what is found nearest there, in sizes of things, is the thing.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import DetectedObject

LONGEST_ABSENCE_S = 4.0
"""A thing that is hidden or out of the image for longer is another one when it comes back."""

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

# What the Kalman filters expect, as standard deviations.
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


def _new_track_id(numbers: Iterator[int]) -> int:
    """The next one; 0, not tracked, should uint32 ever be used up."""
    with _numbers_lock:
        number = next(numbers)
    return number if number <= _LARGEST_ID else 0


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
        self._tracks = _sightings((), 0)

    def update(
        self, objects: Sequence[DetectedObject], stamp_ns: int, vocabulary_version: int
    ) -> tuple[DetectedObject, ...]:
        """The same objects in the same order, with their track_id; 0 for those that are new.

        Call it for every frame, also for one without objects, at any rate. It starts afresh with
        another vocabulary, a stamp before the last one, or one LONGEST_ABSENCE_S after it.
        """
        if vocabulary_version != self._vocabulary_version or stamp_ns < self._stamp_ns:
            self._tracks = _sightings((), 0)
        tracks = _without_the_lost(self._tracks, self._stamp_ns, stamp_ns)
        step_s = (stamp_ns - self._stamp_ns) * 1e-9
        step_s = min(max(step_s, _SHORTEST_STEP_S), LONGEST_ABSENCE_S)
        _predict(tracks, step_s, self._stamp_ns)
        found = _sightings(objects, stamp_ns)
        thing, track = _nearest_pairs(_distances(found, tracks))
        found_again = tracks[track]
        new = found_again.track_id == 0
        found_again.track_id[new] = [_new_track_id(self._numbers) for _ in range(new.sum())]
        _go_on(found, thing, found_again, step_s)
        out_of_sight = np.delete(np.arange(len(tracks.track_id)), track)
        self._tracks = _joined(tracks[out_of_sight], found)
        self._vocabulary_version, self._stamp_ns = vocabulary_version, stamp_ns
        return tuple(
            replace(thing, track_id=track_id)
            for thing, track_id in zip(objects, found.track_id.tolist(), strict=True)
        )


@dataclass(eq=False)
class _Tracks:
    """Things as they were last seen, and where they are heading; arrays (T,) unless said otherwise.

    track_id is 0 for a thing that was seen once. seen_ns: the stamp of the frame. position_px and speed_px_s (T, 2) are
    the filters' estimates of x and y, which have the variances and covariance of position and speed in common.
    """

    track_id: Integers
    class_id: Integers
    seen_ns: Integers
    area_px: Floats
    size_px: Floats
    position_px: Floats
    speed_px_s: Floats
    position_variance: Floats
    covariance: Floats
    speed_variance: Floats

    def __getitem__(self, chosen: NDArray[Any]) -> _Tracks:
        return _Tracks(*(getattr(self, field.name)[chosen] for field in fields(self)))


def _joined(some: _Tracks, others: _Tracks) -> _Tracks:
    columns = [(getattr(some, f.name), getattr(others, f.name)) for f in fields(some)]
    return _Tracks(*map(np.concatenate, columns))


def _sightings(objects: Sequence[DetectedObject], stamp_ns: int) -> _Tracks:
    """What is found in a frame, each as a thing that was never seen before."""
    count = len(objects)
    boxes = np.array([(o.box.left, o.box.top, o.box.width, o.box.height) for o in objects], float)
    corner, extent = np.split(boxes.reshape(count, 4), 2, axis=1)
    return _Tracks(
        track_id=np.zeros(count, np.int64),
        class_id=np.array([thing.class_id for thing in objects], np.int64),
        seen_ns=np.full(count, stamp_ns),
        area_px=np.array([max(1, thing.area) for thing in objects], float),
        size_px=np.maximum(_SMALLEST_SIZE_PX, np.hypot(*extent.T)),
        position_px=corner + extent / 2,
        speed_px_s=np.zeros((count, 2)),
        position_variance=np.full(count, _FIRST_JITTER_PX**2),
        covariance=np.zeros(count),
        speed_variance=np.full(count, _SPEED_PX_S**2),
    )


def _without_the_lost(tracks: _Tracks, last_stamp_ns: int, stamp_ns: int) -> _Tracks:
    """And without those that were seen for the first time in a frame before the last one."""
    lately = stamp_ns - tracks.seen_ns < LONGEST_ABSENCE_S * 1e9
    return tracks[lately & ((tracks.track_id > 0) | (tracks.seen_ns == last_stamp_ns))]


def _predict(tracks: _Tracks, step_s: float, last_stamp_ns: int) -> None:
    """Let the filters go `step_s` ahead."""
    out_of_sight = tracks.seen_ns < last_stamp_ns
    tracks.speed_px_s[out_of_sight] *= math.exp(-step_s / _SPEED_KEPT_S)
    tracks.position_px += tracks.speed_px_s * step_s
    tracks.position_variance += (
        2 * step_s * tracks.covariance
        + step_s**2 * tracks.speed_variance
        + (_SPEED_CHANGE_PX_S * step_s) ** 2
    )
    tracks.covariance += step_s * tracks.speed_variance
    tracks.speed_variance += _SPEED_CHANGE_PX_S**2


def _go_on(found: _Tracks, things: Integers, tracks: _Tracks, step_s: float) -> None:
    """Let those of `found` that are `things` be the things of `tracks`, one each."""
    found.track_id[things] = tracks.track_id
    shrunk_px = tracks.size_px * math.exp(-step_s / _SIZE_KEPT_S)
    found.size_px[things] = np.maximum(found.size_px[things], shrunk_px)

    total_variance = tracks.position_variance + _JITTER_PX**2
    position_gain = tracks.position_variance / total_variance
    speed_gain = tracks.covariance / total_variance
    surprise_px = found.position_px[things] - tracks.position_px
    found.position_px[things] = tracks.position_px + position_gain[:, None] * surprise_px
    found.speed_px_s[things] = tracks.speed_px_s + speed_gain[:, None] * surprise_px
    found.position_variance[things] = position_gain * _JITTER_PX**2
    found.speed_variance[things] = tracks.speed_variance - speed_gain * tracks.covariance
    found.covariance[things] = speed_gain * _JITTER_PX**2


def _distances(found: _Tracks, tracks: _Tracks) -> Floats:
    """(F, T) from what was found to where tracks lead, in sizes; infinite beyond a track's reach or class.

    Among several tracks within reach those come first that were seen lately, and as large.
    """
    away_px = np.linalg.norm(found.position_px[:, None] - tracks.position_px, axis=2)
    distance = away_px / (np.add.outer(found.size_px, tracks.size_px) / 2)
    unseen_s = np.subtract.outer(found.seen_ns, tracks.seen_ns) * 1e-9
    same_class = np.equal.outer(found.class_id, tracks.class_id)
    within_reach = same_class & (distance < _REACH + _REACH_GROWTH_PER_S * unseen_s)
    handicap = (
        unseen_s
        + _NEWCOMER_PENALTY * (tracks.track_id == 0)
        + _AREA_WEIGHT * np.abs(np.subtract.outer(np.log(found.area_px), np.log(tracks.area_px)))
    )
    return np.where(within_reach, distance + handicap, np.inf)


def _nearest_pairs(distances: Floats) -> tuple[Integers, Integers]:
    """Rows and columns of (F, T) distances, nearest first, each in one pair at most.

    Not the pairs of the least sum: for that, things that are where they should be are given away.
    """
    rows, columns = np.nonzero(np.isfinite(distances))
    nearest_first = np.argsort(distances[rows, columns], kind="stable")
    pairs: dict[int, int] = {}
    for row, column in zip(
        rows[nearest_first].tolist(), columns[nearest_first].tolist(), strict=True
    ):
        if row not in pairs and column not in pairs.values():
            pairs[row] = column
    return np.array(list(pairs), np.int64), np.array(list(pairs.values()), np.int64)
