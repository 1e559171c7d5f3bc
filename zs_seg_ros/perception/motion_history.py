# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The motion from a camera's newest image back to an earlier one, followed through the images in between.

Each image is compared with a reference image, and becomes the next reference when too much moved since. Composing the
motion from one image to the next instead adds up the errors of all of them, the more, the higher the camera's rate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from zs_seg_ros.perception.optical_flow import (
    FlowEstimator,
    Grey,
    Motion,
    is_still,
    likeness,
    small_grey,
)
from zs_seg_ros.types import Frame, size_of

LONGEST_GAP_NS = 2_000_000_000
"""After a longer time without images everything is forgotten."""

LONGEST_NS = 30_000_000_000
"""Older images are forgotten."""

MOST_IMAGES = 64
"""Of more reference images, those close to each other for their age are forgotten. Each takes 0.2 MB."""

# Chosen by measurement; see docs/decisions/0009-propagation.md.
_LEAST_LIKENESS = 0.42
_LEAST_SHARE = 0.1
_REFERENCE_SHARE = 0.85
_REFERENCE_PX = 3.0
_FAR_SHARE = 0.03


@dataclass(frozen=True, eq=False)
class _Reference:
    """A reference image. step: the motion back to the one before; None without one, or where nothing moved."""

    frame_id: tuple[int, int]
    grey: Grey
    step: Motion | None

    @property
    def stamp_ns(self) -> int:
        return self.frame_id[0]


class MotionHistory:
    """Remembers reference images of a camera, and the motion between them. Not thread-safe.

    newest: the newest frame; None before the first one. motion: from the newest image back to the last reference; None
    where nothing moved.
    """

    def __init__(self) -> None:
        self._flow = FlowEstimator()
        self._references: list[_Reference] = []
        self._followed: Motion | None = None
        self._grey: Grey | None = None
        self._motion: Motion | None = None
        self.newest: Frame | None = None

    def __len__(self) -> int:
        """Return how many images are remembered."""
        return len(self._references)

    @property
    def newest_grey(self) -> Grey:
        """The newest image, small and grey. Raises ValueError without images."""
        if self._grey is None:
            raise ValueError("no image was added: call add first")
        return self._grey

    def clear(self) -> None:
        """Forget all images."""
        self._references.clear()
        self._followed = self._motion = self._grey = self.newest = None

    def add(self, frame: Frame) -> bool:
        """Record the next frame; return whether it has enough in common with the one before.

        If not, all others are forgotten: with another size, a stamp that is not later or later by more than 2 s, and
        where the two images are too little alike after the motion between them is undone.
        """
        grey = small_grey(frame.image)
        follows = self.newest is not None and _follows(self.newest, frame)
        if not (follows and self._compare(grey)):
            self.clear()
            self._references = [_Reference(_id_of(frame), grey, None)]
            follows = False
        self.newest, self._grey = frame, grey
        if self._motion is not None and _is_far(self._motion):
            self._refer_to_newest()
        return follows

    def has_forgotten(self, frame: Frame) -> bool:
        """Return whether all images were forgotten since this frame was received, whatever its stamp is."""
        return bool(self._references) and frame.received_ns < self._references[0].frame_id[1]

    def follow(self, frame: Frame) -> bool:
        """Keep the motion back to the image of a frame from now on; return whether it is known.

        It is not for frames that were forgotten, and for those that come after the newest one.
        """
        if self.newest is None or not self._references[0].stamp_ns <= frame.stamp_ns:
            return False
        if _id_of(frame) == _id_of(self.newest) or frame.stamp_ns < self.newest.stamp_ns:
            if self._references[-1].stamp_ns < frame.stamp_ns:
                self._refer_to_newest()
            return self._follow(frame)
        return False

    def followed(self) -> Motion | None:
        """Return the motion from the newest image back to that of the followed frame; None where nothing moved."""
        return _continued(self._motion, self._followed)

    def _compare(self, grey: Grey) -> bool:
        """Estimate the motion of an image since the reference, or since the newest one if that fails."""
        if self._try(grey):
            return True
        if self._motion is None:
            return False
        self._refer_to_newest()
        return self._try(grey)

    def _try(self, grey: Grey) -> bool:
        reference = self._references[-1].grey
        if is_still(grey, reference):
            self._motion = None
            return True
        motion = self._flow.motion(grey, reference)
        enough = np.count_nonzero(motion.trust) >= _LEAST_SHARE * grey.size
        if not (enough and likeness(grey, reference, motion) >= _LEAST_LIKENESS):
            return False
        self._motion = motion
        return True

    def _refer_to_newest(self) -> None:
        if self.newest is None or self._grey is None:
            return
        self._references.append(_Reference(_id_of(self.newest), self._grey, self._motion))
        self._followed, self._motion = _continued(self._motion, self._followed), None
        self._forget()

    def _follow(self, frame: Frame) -> bool:
        """Follow a frame that is not newer than the last reference."""
        references = self._references
        index = sum(each.stamp_ns < frame.stamp_ns for each in references)
        followed: Motion | None = None
        for later in reversed(references[index + 1 :]):
            followed = _continued(followed, later.step)
        reference = references[index]
        if reference.frame_id != _id_of(frame):
            grey = small_grey(frame.image)
            if reference.stamp_ns == frame.stamp_ns or grey.shape != reference.grey.shape:
                return False
            if not is_still(reference.grey, grey):
                followed = _continued(followed, self._flow.motion(reference.grey, grey))
        self._followed = followed
        return True

    def _forget(self) -> None:
        references, newest_ns = self._references, self._references[-1].stamp_ns
        while newest_ns - references[0].stamp_ns > LONGEST_NS:
            del references[0]
        if len(references) <= MOST_IMAGES:
            return
        stamps_ns = np.array([each.stamp_ns for each in references])
        gaps_ns = stamps_ns[2:] - stamps_ns[:-2]
        index = 1 + int(np.argmin(gaps_ns / (newest_ns - stamps_ns[1:-1])))
        later = references[index + 1]
        references[index + 1] = replace(later, step=_continued(later.step, references[index].step))
        del references[index]


def _is_far(motion: Motion) -> bool:
    """Return whether so much moved that the motion of the next image since the same reference may be wrong."""
    trusted = motion.trust > 0
    if np.count_nonzero(trusted) < _REFERENCE_SHARE * trusted.size:
        return True
    # Of a sample: also of an object of a few per cent of the image that moves while the camera does not.
    x, y = np.abs(motion.x[::4, ::4]), np.abs(motion.y[::4, ::4])
    far = np.count_nonzero(np.maximum(x, y) > _REFERENCE_PX)
    return bool(far > _FAR_SHARE * x.size)


def _continued(motion: Motion | None, older: Motion | None) -> Motion | None:
    """Return a motion continued by an older one; None stands for no motion."""
    if motion is None or older is None:
        return motion or older
    return motion.after(older)


def _id_of(frame: Frame) -> tuple[int, int]:
    """Return what identifies a frame, also of a camera that gives all of them one stamp."""
    return frame.stamp_ns, frame.received_ns


def _follows(earlier: Frame, later: Frame) -> bool:
    same_size = size_of(earlier.image) == size_of(later.image)
    return same_size and 0 < later.stamp_ns - earlier.stamp_ns <= LONGEST_GAP_NS
