# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The depth images of one camera, paired with its colour images."""

from __future__ import annotations

import time
from typing import Any

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.camera_info import intrinsics_from_info
from zs_seg_ros.images.camera_topics import depth_topic, info_topic
from zs_seg_ros.images.compressed_images import depth_from_compressed
from zs_seg_ros.images.depth_pairing import TOLERANCE_NS, DepthPairing
from zs_seg_ros.images.image_limits import DEFAULT_IMAGE_LIMITS
from zs_seg_ros.images.message_images import depth_from_image, stamp_ns
from zs_seg_ros.perception.frame_slots import FrameSink, FrameSlots
from zs_seg_ros.ros.camera_receiver import CameraReceiver
from zs_seg_ros.ros.diagnostics import WARN, LastProblem, Problem
from zs_seg_ros.ros.matching_subscription import MatchingSubscription
from zs_seg_ros.ros.parameters.node_parameters import CameraParameters
from zs_seg_ros.types import DepthImage, Frame, Intrinsics

_LONGEST_WAIT_NS = 500_000_000


class DepthInput:
    """Subscribes to depth images and camera_info, and puts frames into their slot together with their depth.

    limits: larger depth images are refused; they may change at any time.
    """

    def __init__(
        self, node: LifecycleNode, camera: CameraParameters, receiver: CameraReceiver
    ) -> None:
        compressed = camera.depth_transport == "compressed"
        self._depth_from = depth_from_compressed if compressed else depth_from_image
        self._info = MatchingSubscription(
            node,
            camera.info_topic or info_topic(camera.name),
            CameraInfo,
            camera,
            "info_topic",
            receiver,
            self._on_info,
            latched=True,
        )
        self._depth = MatchingSubscription(
            node,
            camera.depth_topic or depth_topic(camera.name, camera.depth_transport),
            CompressedImage if compressed else Image,
            camera,
            "depth_topic",
            receiver,
            self._on_depth,
        )
        self._unit_m = camera.depth_scale
        self.limits = DEFAULT_IMAGE_LIMITS
        self.start(FrameSlots(()))

    def start(self, slots: FrameSink) -> None:
        """Forget what was received before; frames given to `put_paired` go into `slots`."""
        self._slots: FrameSink = slots
        self._intrinsics: Intrinsics | None = None
        self.bad_depth = LastProblem()
        self._forget_pairs()

    def _forget_pairs(self) -> None:
        self._pairing = DepthPairing(TOLERANCE_NS)
        self._unpaired_before = 0

    def follow(self, needed: bool) -> None:
        """Subscribe while depth is needed."""
        if needed and not self._depth.exists:
            self._forget_pairs()
        self._info.follow(needed)
        self._depth.follow(needed)

    def unsubscribe(self) -> None:
        """Stop receiving."""
        self._depth.unsubscribe()
        self._info.unsubscribe()

    def match_publishers(self) -> None:
        """Follow what publishers offer, and release a frame whose depth is overdue. Called once a second."""
        self._depth.match_publishers()
        self._info.match_publishers()
        self._put(self._pairing.overdue(time.monotonic_ns() - _LONGEST_WAIT_NS))

    def put_paired(self, frame: Frame) -> None:
        """Put the frame into its slot as soon as its depth is there, or as soon as it is clear that none comes."""
        self._put(self._pairing.add_frame(frame))

    def _put(self, frames: list[Frame]) -> None:
        for frame in frames:
            self._slots.put(frame)

    def _on_info(self, message: CameraInfo) -> None:
        try:
            self._intrinsics = intrinsics_from_info(message)
        except ImageError as error:
            self._intrinsics = None
            self.bad_depth.note(str(error))

    def _on_depth(self, received: Any) -> None:
        """Convert one depth message and put the frame that waited for it into its slot."""
        if self._intrinsics is None:
            return
        try:
            message = self._depth.message(received)
            values = self._depth_from(message, self.limits)
            stamp = stamp_ns(message.header.stamp)
            depth = DepthImage(values, self._intrinsics, stamp, self._unit_m)
        except ImageError as error:
            self.bad_depth.note(str(error))
            return
        self._put(self._pairing.add_depth(depth))

    def problems(self) -> list[Problem]:
        """List what is wrong with depth. Called once a second."""
        # A latched camera_info may come once and never again.
        info = self._info.problem(silence_matters=self._intrinsics is None)
        problems = [p for p in (self._depth.problem(), info) if p is not None]
        unpaired = self._pairing.unpaired - self._unpaired_before
        self._unpaired_before = self._pairing.unpaired
        if unpaired and not problems and not self.bad_depth.recent:
            self.bad_depth.note(
                f"{unpaired} images in the last second had no image on {self._depth.topic} within "
                f"{TOLERANCE_NS // 1_000_000} ms of their stamps: check that both come from one clock and "
                "that depth is registered to colour"
            )
        if self.bad_depth.recent:
            problems.append(Problem(WARN, self.bad_depth.recent))
        return problems
