"""The depth images of one camera, paired with its images."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.camera_topics import depth_topic, info_topic
from zs_seg_ros.images.compressed_images import depth_from_compressed
from zs_seg_ros.images.depth_pairing import TOLERANCE_NS, DepthPairing
from zs_seg_ros.images.message_images import depth_from_image, intrinsics_from_info, stamp_ns
from zs_seg_ros.ros.diagnostics import WARN, LastProblem, Problem
from zs_seg_ros.ros.followed_topic import FollowedTopic
from zs_seg_ros.ros.parameters import CameraParameters
from zs_seg_ros.types import DepthImage, Frame, Intrinsics

_LONGEST_WAIT_NS = 500_000_000


class DepthInput:
    """Subscribes to depth images and /CAM/camera_info, and hands frames on with their depth."""

    def __init__(self, node: LifecycleNode, camera: CameraParameters, callback_group: Any) -> None:
        def topic(name: str, message_type: Any) -> FollowedTopic:
            return FollowedTopic(
                node,
                name,
                message_type,
                camera.reliability,
                f"{camera.name}.reliability",
                callback_group,
            )

        compressed = camera.depth_transport == "compressed"
        self._read = depth_from_compressed if compressed else depth_from_image
        self._depth = topic(
            depth_topic(camera.name, camera.depth_transport),
            CompressedImage if compressed else Image,
        )
        self._info = topic(info_topic(camera.name), CameraInfo)
        self._pairing = DepthPairing(TOLERANCE_NS)

    def subscribe(self, forward: Callable[[Frame], None], longest_side: Callable[[], int]) -> None:
        self._forward, self._longest_side = forward, longest_side
        self._pairing = DepthPairing(TOLERANCE_NS)
        self._unpaired_before = 0
        self._intrinsics: Intrinsics | None = None
        self.bad_depth = LastProblem()
        self._info.subscribe(self._on_info)
        self._depth.subscribe(self._on_depth)

    def unsubscribe(self) -> None:
        self._depth.unsubscribe()
        self._info.unsubscribe()

    def follow(self) -> None:
        """And let an image go on that has waited for its depth for long. Called once a second."""
        self._depth.follow()
        self._info.follow()
        for frame in self._pairing.overdue(time.monotonic_ns() - _LONGEST_WAIT_NS):
            self._forward(frame)

    def add_frame(self, frame: Frame) -> None:
        """Hand the frame on as soon as its depth is there, or as soon as it is clear that none comes."""
        for ready in self._pairing.add_frame(frame):
            self._forward(ready)

    def _on_info(self, message: CameraInfo) -> None:
        try:
            self._intrinsics = intrinsics_from_info(message)
        except ImageError as error:
            self._intrinsics = None
            self.bad_depth.note(str(error))

    def _on_depth(self, message: Image | CompressedImage) -> None:
        if self._intrinsics is None:
            return
        try:
            values = self._read(message, self._longest_side())
            stamp = stamp_ns(message.header.stamp)
        except ImageError as error:
            self.bad_depth.note(str(error))
            return
        for ready in self._pairing.add_depth(DepthImage(values, self._intrinsics, stamp)):
            self._forward(ready)

    def problems(self) -> list[Problem]:
        """What is wrong with depth. Called once a second."""
        # A camera_info that holds until further notice may come once.
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
