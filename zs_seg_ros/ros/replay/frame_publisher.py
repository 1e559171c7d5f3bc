# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Publishes the images, depth images and camera_info of a bag to the node under test."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
from rclpy.duration import Duration
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from zs_seg_ros.bags.bag import BagMessage
from zs_seg_ros.bags.bag_cameras import BagCamera
from zs_seg_ros.errors import ReplayError
from zs_seg_ros.images.compressed_images import image_from_compressed
from zs_seg_ros.images.depth_pairing import TOLERANCE_NS
from zs_seg_ros.images.message_images import image_from_message
from zs_seg_ros.replay.bag_frames import BagFrame, stamp_of
from zs_seg_ros.ros.conversions import image_message, time_message
from zs_seg_ros.ros.replay.node_under_test import DISCOVERY_TIMEOUT_S, REPLAY_QOS, NodeUnderTest
from zs_seg_ros.types import RgbImage

_ACKNOWLEDGEMENT_TIMEOUT_S = 5.0
_AFTER_STAMP = 12
"""Bytes of a serialised message up to the end of its header's stamp."""


class FramePublisher:
    """Publishes serialised messages of the cameras on the topics that they were recorded on."""

    def __init__(self, node: NodeUnderTest, cameras: Sequence[BagCamera]) -> None:
        self._node = node
        self._publishers: dict[str, Any] = {
            topic: node.node.create_publisher(message_type, topic, REPLAY_QOS)
            for camera in cameras
            for topic, message_type in _message_types(camera).items()
        }
        self._published_info: dict[str, bytes] = {}  # camera -> the last camera_info, without stamp
        self._depth_stamp_ns: dict[str, int] = {}  # camera -> the stamp of the last depth image

    def wait_for_subscribers(self) -> None:
        """Wait until the node subscribes to every topic.

        Raises ReplayError for a topic that it does not subscribe to, or that another node publishes as well.
        """
        for topic, publisher in self._publishers.items():
            self._node.wait_for(
                f"{self._node.name} to subscribe to {topic}",
                partial(_is_matched, publisher),
                DISCOVERY_TIMEOUT_S,
            )
            if self._node.node.count_publishers(topic) > 1:
                raise ReplayError(
                    f"another node publishes {topic} as well; stop it, so that {self._node.name} receives the "
                    "recording alone"
                )

    def publish(self, topic: str, serialised: bytes) -> None:
        """Publish a serialised message."""
        self._publishers[topic].publish(serialised)

    def publish_info(self, camera: BagCamera, info: BagMessage) -> None:
        """Publish a camera_info, and remember it for `publish_depth_of`."""
        self.publish(camera.info, info.serialised)
        self._published_info[camera.name] = info.serialised[_AFTER_STAMP:]

    def publish_depth(self, camera: BagCamera, depth: bytes) -> None:
        """Publish a serialised depth image, and remember its stamp for `publish_depth_of`."""
        self.publish(camera.depth, depth)
        self._depth_stamp_ns[camera.name] = stamp_of(depth)

    def publish_depth_of(self, frame: BagFrame, info: BagMessage) -> None:
        """Publish the frame's depth image, and before it camera_info if that has changed.

        DDS does not preserve the order between topics. An order is needed for camera_info, which the node
        reads depth with; for the first depth image, as the node waits for depth only once it has received
        some; and where the depth of another image is close enough in time to be paired with this one. Waiting
        for an acknowledgement can take seconds, so it is limited to these cases.
        """
        camera = frame.camera
        if self._published_info.get(camera.name) != info.serialised[_AFTER_STAMP:]:
            self.publish_info(camera, info)
            self.wait_until_acknowledged(camera.info)
        previous_ns = self._depth_stamp_ns.get(camera.name)
        self.publish_depth(camera, depth_message(frame, info))
        if previous_ns is None or abs(frame.stamp_ns - previous_ns) <= TOLERANCE_NS:
            self.wait_until_acknowledged(camera.depth)

    def forget_depth(self, camera: BagCamera) -> None:
        """Treat the next depth image as the first: the node may have given up waiting for depth."""
        self._depth_stamp_ns.pop(camera.name, None)

    def wait_until_acknowledged(self, topic: str) -> None:
        """Wait until all reliable subscribers have acknowledged the messages on a topic, for a limited time."""
        self._publishers[topic].wait_for_all_acked(Duration(seconds=_ACKNOWLEDGEMENT_TIMEOUT_S))


def frame_image(frame: BagFrame) -> RgbImage:
    """Decode the frame's image: (H, W, 3) RGB, uint8 or uint16. Raises ImageError."""
    if frame.camera.transport == "compressed":
        return image_from_compressed(deserialize_message(frame.image.serialised, CompressedImage))
    return image_from_message(deserialize_message(frame.image.serialised, Image))


def depth_message(frame: BagFrame, info: BagMessage) -> bytes:
    """Return the frame's depth image, serialised; for a frame without one, a depth image of zeros (no depth).

    Without any depth image the node would hold the frame until the next image.
    """
    if frame.depth is not None:
        return frame.depth.serialised
    calibration = deserialize_message(info.serialised, CameraInfo)
    no_depth = np.zeros((calibration.height, calibration.width), np.uint16)
    header = Header(stamp=time_message(frame.stamp_ns))
    if frame.camera.depth_transport == "raw":
        return bytes(serialize_message(image_message(no_depth, "16UC1", header)))
    message = CompressedImage(header=header, format="16UC1; compressedDepth png")
    message.data.frombytes(bytes(12) + cv2.imencode(".png", no_depth)[1].tobytes())
    return bytes(serialize_message(message))


def _message_types(camera: BagCamera) -> dict[str, Any]:
    """Map each topic of the camera to its message class."""
    types = {camera.image: CompressedImage if camera.transport == "compressed" else Image}
    if camera.depth:
        types[camera.depth] = CompressedImage if camera.depth_transport == "compressed" else Image
        types[camera.info] = CameraInfo
    return types


def _is_matched(publisher: Any) -> bool:
    return bool(publisher.get_subscription_count())
