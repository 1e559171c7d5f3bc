# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A buffer of coordinate transforms, as tf2 has one: where a frame was in another one at a moment of the past.

It needs no ROS: `ros.transforms` feeds it from /tf and /tf_static where tf2_ros is not installed.
"""

from __future__ import annotations

import bisect
import math
import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.shown import quoted, shown
from zs_seg_ros.types import Metres, Pose

HISTORY_S = 10.0
"""Transforms older than this, counted from the newest of the same two frames, are dropped."""

JUMP_BACK_S = 1.0
"""A stamp that lies further before the newest one of the same two frames means that time has jumped back."""

MOST_FRAMES, MOST_SAMPLES = 10_000, 20_000
"""The number of frames, and of stored transforms of each; what exceeds it is dropped."""

_NORM_TOLERANCE = 0.01
_NEARLY_PARALLEL = 0.9995
"""The cosine above which spherical and linear interpolation agree to float precision."""

Quaternion = tuple[float, float, float, float]
"""(x, y, z, w), as in geometry_msgs."""


@dataclass(frozen=True, eq=False)
class Transform:
    """Where a child frame is in its parent frame: a point p of the child is at rotation(p) + translation.

    rotation: a quaternion, normalised by `checked`. translation: in metres.
    """

    rotation: Quaternion
    translation: Metres

    def checked(self) -> Transform:
        """Return the transform with a normalised rotation. Raises ValueError for numbers that are no transform."""
        norm = math.sqrt(sum(part * part for part in self.rotation))
        if not all(math.isfinite(part) for part in (*self.translation, norm)):
            raise ValueError("it has a number that is not finite")
        if abs(norm - 1) > _NORM_TOLERANCE:
            raise ValueError(f"its rotation is a quaternion of the norm {norm:.3g}, not 1")
        x, y, z, w = (part / norm for part in self.rotation)
        return Transform((x, y, z, w), self.translation)


@dataclass(frozen=True, eq=False)
class Lookup:
    """The answer to a lookup. pose: None when it is not known. reason: then why, in one sentence; otherwise empty."""

    pose: Pose | None
    reason: str = ""


class TransformMissingError(LookupError):
    """A transform is not known. Its text says why."""


@dataclass(eq=False)
class _History:
    """The transforms of one child frame in its parent, by stamp. A static one has no stamps and one transform."""

    parent: str
    static: bool
    stamps: list[int] = field(default_factory=list)
    transforms: list[Transform] = field(default_factory=list)

    def insert(self, stamp_ns: int, transform: Transform) -> None:
        place = bisect.bisect_left(self.stamps, stamp_ns)
        if place < len(self.stamps) and self.stamps[place] == stamp_ns:
            self.transforms[place] = transform
            return
        self.stamps.insert(place, stamp_ns)
        self.transforms.insert(place, transform)
        oldest = bisect.bisect_left(self.stamps, self.stamps[-1] - int(HISTORY_S * 1e9))
        dropped = max(oldest, len(self.stamps) - MOST_SAMPLES)
        del self.stamps[:dropped], self.transforms[:dropped]

    def at(self, stamp_ns: int, child: str, tolerance_ns: int) -> Transform:
        """Return the transform at a stamp, interpolated. Raises TransformMissingError outside of the history.

        tolerance_ns: how much older than the stamp the newest transform may be.
        """
        if self.static:
            return self.transforms[0]
        pair = f"from {quoted(child)} to {quoted(self.parent)}"
        if self.stamps[-1] < stamp_ns <= self.stamps[-1] + tolerance_ns:
            return self.transforms[-1]
        if stamp_ns > self.stamps[-1]:
            late_ms = (stamp_ns - self.stamps[-1]) / 1e6
            raise TransformMissingError(
                f"the newest transform {pair} is {late_ms:.0f} ms older than the image"
            )
        if stamp_ns < self.stamps[0]:
            early_ms = (self.stamps[0] - stamp_ns) / 1e6
            raise TransformMissingError(
                f"the oldest transform {pair} is {early_ms:.0f} ms newer than the image"
            )
        later = bisect.bisect_left(self.stamps, stamp_ns)
        if self.stamps[later] == stamp_ns:
            return self.transforms[later]
        before_ns, after_ns = self.stamps[later - 1], self.stamps[later]
        share = (stamp_ns - before_ns) / (after_ns - before_ns)
        return interpolated(self.transforms[later - 1], self.transforms[later], share)


class TransformBuffer:
    """Stores the transforms of a tree of frames for HISTORY_S seconds. Thread-safe.

    refused: why the last transform that could not be used was refused; empty without one.
    """

    def __init__(self) -> None:
        self.refused = ""
        self._frames: dict[str, _History] = {}  # by child
        self._lock = threading.Lock()

    def add(
        self, parent: str, child: str, stamp_ns: int, transform: Transform, *, static: bool = False
    ) -> None:
        """Store where `child` is in `parent`. A static transform holds at all times.

        A stamp far before the last one of the same frames, as after a bag that starts again, clears all that is not
        static. A transform that cannot be used is refused, as tf2 does it.
        """
        parent, child = parent.lstrip("/"), child.lstrip("/")
        try:
            if not parent or not child or parent == child:
                raise ValueError("a frame has no name, or both have the same")
            transform = transform.checked()
        except ValueError as error:
            self.refused = f"a transform from {quoted(child)} to {quoted(parent)} is ignored: {shown(error, 300)}"
            return
        with self._lock:
            history = self._history(parent, child, stamp_ns, static)
            if history is None:
                return
            if static:
                history.transforms = [transform]
            else:
                history.insert(stamp_ns, transform)

    def _history(self, parent: str, child: str, stamp_ns: int, static: bool) -> _History | None:
        """Return the history to store in, a new one for a new parent; None when there are too many frames."""
        history = self._frames.get(child)
        newest_ns = history.stamps[-1] if history is not None and history.stamps else stamp_ns
        if not static and stamp_ns < newest_ns - int(JUMP_BACK_S * 1e9):
            self._clear()
            history = None
        if history is None or (history.parent, history.static) != (parent, static):
            if child not in self._frames and len(self._frames) >= MOST_FRAMES:
                self.refused = f"there are more than {MOST_FRAMES} frames: new ones are ignored"
                return None
            history = self._frames[child] = _History(parent, static)
        return history

    def clear(self) -> None:
        """Forget all transforms that are not static."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        self._frames = {child: each for child, each in self._frames.items() if each.static}

    def lookup(
        self, target_frame: str, source_frame: str, stamp_ns: int, tolerance_ns: int = 0
    ) -> Lookup:
        """Return the pose of the source frame in the target frame at a stamp, interpolated between two transforms.

        tolerance_ns: how much older than the stamp the newest transforms may be; they are used as they are.
        """
        target, source = target_frame.lstrip("/"), source_frame.lstrip("/")
        try:
            with self._lock:
                return Lookup(self._pose(target, source, stamp_ns, tolerance_ns))
        except TransformMissingError as error:
            return Lookup(None, shown(error, 300))

    def _pose(self, target: str, source: str, stamp_ns: int, tolerance_ns: int) -> Pose:
        source_chain, target_chain = self._ancestors(source), self._ancestors(target)
        common = next((frame for frame in source_chain if frame in set(target_chain)), None)
        if common is None:
            known = {*self._frames, *(each.parent for each in self._frames.values())}
            for frame in (target, source):
                if frame not in known:
                    raise TransformMissingError(f"there is no frame {quoted(frame)} on /tf")
            raise TransformMissingError(
                f"the frames {quoted(source)} and {quoted(target)} are not connected on /tf"
            )
        from_source = self._to_ancestor(source_chain, common, stamp_ns, tolerance_ns)
        from_target = self._to_ancestor(target_chain, common, stamp_ns, tolerance_ns)
        return between(from_source, from_target)

    def _ancestors(self, frame: str) -> list[str]:
        """Return a frame, its parent, and so on to the root."""
        chain = [frame]
        while (history := self._frames.get(chain[-1])) is not None:
            if history.parent in chain:  # a circle, which no tree has
                break
            chain.append(history.parent)
        return chain

    def _to_ancestor(
        self, chain: list[str], ancestor: str, stamp_ns: int, tolerance_ns: int
    ) -> Pose:
        pose = Pose(np.eye(3), np.zeros(3))
        for child in chain[: chain.index(ancestor)]:
            pose = followed_by(pose, pose_of(self._frames[child].at(stamp_ns, child, tolerance_ns)))
        return pose


def interpolated(before: Transform, after: Transform, share: float) -> Transform:
    """Return the transform between two: the translation linearly, the rotation on the shortest arc (slerp).

    share: 0 for `before`, 1 for `after`.
    """
    translation = tuple(
        (1 - share) * start + share * end
        for start, end in zip(before.translation, after.translation, strict=True)
    )
    x, y, z = translation
    return Transform(slerp(before.rotation, after.rotation, share), (x, y, z))


def slerp(before: Quaternion, after: Quaternion, share: float) -> Quaternion:
    """Return the rotation between two unit quaternions, at a constant angular speed on the shortest arc."""
    cosine = sum(a * b for a, b in zip(before, after, strict=True))
    sign = -1.0 if cosine < 0 else 1.0
    cosine = min(abs(cosine), 1.0)
    if cosine > _NEARLY_PARALLEL:
        first, second = 1 - share, share
    else:
        angle = math.acos(cosine)
        first = math.sin((1 - share) * angle) / math.sin(angle)
        second = math.sin(share * angle) / math.sin(angle)
    mixed = [first * a + sign * second * b for a, b in zip(before, after, strict=True)]
    norm = math.sqrt(sum(part * part for part in mixed))
    x, y, z, w = (part / norm for part in mixed)
    return x, y, z, w


def pose_of(transform: Transform) -> Pose:
    """Return a transform with a rotation matrix in place of the quaternion."""
    return Pose(rotation_matrix(transform.rotation), np.array(transform.translation, np.float64))


def rotation_matrix(rotation: Quaternion) -> NDArray[np.float64]:
    """Return the (3, 3) matrix of a unit quaternion."""
    x, y, z, w = rotation
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def followed_by(inner: Pose, outer: Pose) -> Pose:
    """Return the pose that maps a point by `inner` first and then by `outer`."""
    return Pose(
        outer.rotation @ inner.rotation,
        outer.rotation @ inner.translation_m + outer.translation_m,
    )


def between(source: Pose, target: Pose) -> Pose:
    """Return the pose of the source frame in the target frame; both are given in one common frame."""
    back = target.rotation.T
    return Pose(back @ source.rotation, back @ (source.translation_m - target.translation_m))
