# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Carries the result of a model that is slower than the camera to the camera's newest image.

The motion between successive images is estimated as they are observed. When the model's result for an earlier image is
ready, the motion since then is composed, and each later image extends it: a result costs one remap. Where depth and
poses of the camera are known, they replace the motion of the images for all that does not move by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from zs_seg_ros.perception.geometry import by_geometry, pose_holds
from zs_seg_ros.perception.motion_history import MotionHistory
from zs_seg_ros.perception.optical_flow import Grey, Motion, small_grey
from zs_seg_ros.perception.reprojection import View
from zs_seg_ros.perception.warping import faded, warped
from zs_seg_ros.types import Frame, Segmentation, size_of

Mode = Literal["auto", "flow"]

HALF_LIFE_S = 4.0
"""Confidence halves with this age of a result."""


@dataclass(frozen=True, eq=False)
class Carried:
    """A result for the newest frame. inferred_stamp_ns: the stamp of the image that the model segmented."""

    segmentation: Segmentation
    inferred_stamp_ns: int


@dataclass(frozen=True, eq=False)
class _Keyframe:
    """The newest result, and what its frame shows."""

    frame: Frame
    segmentation: Segmentation
    grey: Grey
    view: View | None


class Propagator:
    """Carries the results of one camera to its newest frame. Not thread-safe: its caller needs a lock.

    Memory is bounded: at most `motion_history.MOST_IMAGES` small images with their motion, the newest frame and the
    frame of the newest result.
    """

    def __init__(self) -> None:
        self._history = MotionHistory()
        self._keyframe: _Keyframe | None = None

    def reset(self) -> None:
        """Forget all frames and the result."""
        self._history.clear()
        self._keyframe = None

    def observe(self, frame: Frame) -> None:
        """Record the camera's next frame: estimate its motion since the frame before.

        The result and all earlier frames are forgotten with another size of the image, a stamp that is not later or
        later by more than 2 s, and a change of scene: an image that shares too little with the one before.
        """
        if not self._history.add(frame):
            self._keyframe = None

    def update(self, frame: Frame, segmentation: Segmentation) -> None:
        """Take over the model's result for a frame that was observed, or for one that comes next.

        Results for forgotten frames and for frames before that of the newest result are ignored, and so are results
        of another size than their image's.
        """
        if segmentation.label.shape != size_of(frame.image) or self._history.has_forgotten(frame):
            return
        newest = self._history.newest
        if newest is None or frame.stamp_ns > newest.stamp_ns:
            self.observe(frame)
        elif size_of(frame.image) != size_of(newest.image):
            return
        if self._keyframe is not None and frame.stamp_ns < self._keyframe.frame.stamp_ns:
            return
        if self._history.follow(frame):
            grey, view = small_grey(frame.image), View.of(frame)
            self._keyframe = _Keyframe(frame, segmentation, grey, view)

    def carried(self, mode: Mode = "auto") -> Carried | None:
        """Return the newest result, carried to the newest frame; None without a result that can be carried.

        auto: by depth and poses where they are known and nothing moves by itself, otherwise by the motion of the
        images. flow: by the latter alone.
        """
        keyframe, newest = self._keyframe, self._history.newest
        if keyframe is None or newest is None:
            return None
        stamp_ns, segmentation = keyframe.frame.stamp_ns, keyframe.segmentation
        factor = 0.5 ** ((newest.stamp_ns - stamp_ns) * 1e-9 / HALF_LIFE_S)
        motion = self._history.followed()
        if motion is not None:
            if mode == "auto" and keyframe.view is not None:
                motion = self._with_geometry(motion, keyframe.view, keyframe.grey, newest)
            segmentation = warped(segmentation, motion.places(size_of(newest.image)), factor)
        elif factor < 1:
            segmentation = faded(segmentation, factor)
        return Carried(segmentation, stamp_ns)

    def _with_geometry(self, motion: Motion, older: View, grey: Grey, newest: Frame) -> Motion:
        """Return the motion by depth and poses where these are known and hold, otherwise `motion`."""
        view = View.of(newest)
        if view is None:
            return motion
        geometry = by_geometry(view, older, motion)
        holds = pose_holds(geometry, motion, self._history.newest_grey, grey)
        return geometry.motion if holds else motion
