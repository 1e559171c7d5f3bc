# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What is received from one camera: image message → frame → slot."""

from __future__ import annotations

import importlib
import time
from typing import Any

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image

from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.camera_topics import image_topic
from zs_seg_ros.images.compressed_images import CompressedImageReader
from zs_seg_ros.images.image_limits import DEFAULT_IMAGE_LIMITS, ImageLimits
from zs_seg_ros.images.message_images import image_from_message, stamp_ns
from zs_seg_ros.perception.frame_slots import FrameSink, FrameSlots
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.ros.camera_outputs import CameraOutputs
from zs_seg_ros.ros.camera_receiver import CameraReceiver
from zs_seg_ros.ros.depth_input import DepthInput
from zs_seg_ros.ros.diagnostics import CameraHealth, Problem
from zs_seg_ros.ros.log_throttle import THROTTLED
from zs_seg_ros.ros.matching_subscription import MatchingSubscription
from zs_seg_ros.ros.parameters.node_parameters import CameraParameters
from zs_seg_ros.ros.qos import NEWEST_IMAGE, VIDEO_PACKETS
from zs_seg_ros.types import Frame, RgbImage


def _message_type(transport: str) -> Any:
    if (
        transport == "ffmpeg"
    ):  # not part of ROS itself; `validation` has checked that it is installed
        return importlib.import_module("ffmpeg_image_transport_msgs.msg").FFMPEGPacket
    return CompressedImage if transport == "compressed" else Image


class CameraInput:
    """Owns the subscriptions of one camera: from `start` to `unsubscribe`, while its outputs have subscribers.

    depth_is_carried: whether frames are paired with depth also where no requested output needs it, for propagation.
    health counts what is received and refused, since the last `start`.
    """

    def __init__(
        self,
        node: LifecycleNode,
        camera: CameraParameters,
        model: LiveModel,
        outputs: CameraOutputs,
    ) -> None:
        self.health = CameraHealth()
        self.depth_is_carried = False
        self._limits = DEFAULT_IMAGE_LIMITS
        self._node = node
        self._name = camera.name
        self._model = model
        self._outputs = outputs
        self._slots: FrameSink = FrameSlots(())
        self._receiver = receiver = CameraReceiver(node)
        # Registered before the image, so that depth that has arrived is processed before the image of its time.
        self.depth = DepthInput(node, camera, receiver) if camera.depth else None
        self._rotation = camera.rotation
        self._frame_id = camera.frame_id
        self._reader = CompressedImageReader() if camera.transport != "raw" else None
        self._images = MatchingSubscription(
            node,
            camera.image_topic or image_topic(camera.name, camera.transport),
            _message_type(camera.transport),
            camera,
            "image_topic",
            receiver,
            self._on_image,
        )
        self._usual_depth = VIDEO_PACKETS if camera.transport == "ffmpeg" else NEWEST_IMAGE
        self._images.depth = self._usual_depth

    @property
    def topic(self) -> str:
        """The resolved name of the image topic."""
        return self._images.topic

    def start(self, slots: FrameSink) -> None:
        """Begin to receive as `follow_subscribers` says; each complete frame goes into its slot in `slots`."""
        self.health = CameraHealth()
        self._slots = slots
        if self.depth is not None:
            self.depth.start(slots)
        self.follow_subscribers()

    def follow_subscribers(self, age_s: float = 0.0) -> None:
        """Subscribe to images while any output has subscribers, and to depth while one that needs it has.

        age_s: when they were looked for, at most.
        """
        requested = self._outputs.requested(age_s)
        if self.depth is not None:
            self.depth.follow(
                requested is not None and (requested.needs_depth or self.depth_is_carried)
            )
        if self._images.follow(requested is not None):
            self._await_keyframe()

    def unsubscribe(self) -> None:
        """Stop receiving."""
        self._images.unsubscribe()
        if self.depth is not None:
            self.depth.unsubscribe()

    def destroy(self) -> None:
        """Stop receiving permanently."""
        self.unsubscribe()
        self._receiver.destroy()

    def set_limits(self, limits: ImageLimits) -> None:
        """Refuse images that are larger from the next one on, depth images too."""
        self._limits = limits
        if self.depth is not None:
            self.depth.limits = limits

    def match_publishers(self) -> None:
        """Subscribe anew where publishers have appeared that offer another reliability. Called once a second."""
        if self._images.match_publishers():
            self._await_keyframe()
        if self.depth is not None:
            self.depth.match_publishers()

    def _on_image(self, received: Any) -> None:
        """Convert one image message into a frame and put it into its camera's slot."""
        self.health.count_received()
        requested = self._outputs.requested()
        if requested is None or self._model.encoded is None:  # no vocabulary is in force yet
            self._await_keyframe()
            return
        try:
            message = self._images.message(received)
            frame = Frame(
                camera=self._name,
                image=self._image_from(message),
                stamp_ns=stamp_ns(message.header.stamp),
                frame_id=message.header.frame_id or self._frame_id,
                received_ns=time.monotonic_ns(),
                requested=requested,
                rotation=self._rotation,
            )
        except ImageError as error:
            self.health.count_refused(str(error))
            self._node.get_logger().warning(f"{self._name}: {error}", **THROTTLED)
            return
        if self.depth is not None and (requested.needs_depth or self.depth_is_carried):
            self.depth.put_paired(frame)
        else:
            self._slots.put(frame)

    def _await_keyframe(self) -> None:
        """Go on after messages that were not read."""
        if self._reader is not None:
            self._reader.skip()

    def _image_from(self, message: Any) -> RgbImage:
        if self._reader is None:
            return image_from_message(message, self._limits)
        try:
            return self._reader(message, self._limits)
        finally:
            self._images.depth = VIDEO_PACKETS if self._reader.reads_video else self._usual_depth

    def problems(self) -> list[Problem]:
        """List what is wrong with the topics. Called once a second."""
        problem = self._images.problem()
        problems = [] if problem is None else [problem]
        if self.depth is not None:
            problems += self.depth.problems()
        return problems
