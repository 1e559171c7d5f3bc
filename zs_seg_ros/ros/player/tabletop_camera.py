# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The node `tabletop_camera`: a simulated RGB-D camera that plays a bag in a loop."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.serialization import deserialize_message

from zs_seg_ros.bags.bag import Bag, BagMessage, BagTopic, shipped_bag
from zs_seg_ros.errors import BagError
from zs_seg_ros.ros.parameters.declaration import declare
from zs_seg_ros.ros.parameters.spec import Changeable, ParameterSpec
from zs_seg_ros.ros.player.bag_topic import publisher_for
from zs_seg_ros.ros.process import run
from zs_seg_ros.ros.qos import LATCHED, RESULTS
from zs_seg_ros.ros.rclpy_services import answer_every_request
from zs_seg_ros.shown import shown

RECORDED_CAMERA = "camera"
"""The camera's name in the bags that this node plays."""

_PARAMETERS = (
    ParameterSpec(
        "recording",
        "",
        "Folder of a rosbag2 recording of one camera.",
        "Empty: the recording that is installed with the package.",
        Changeable.BEFORE_START,
    ),
    ParameterSpec(
        "camera",
        RECORDED_CAMERA,
        "Name of the camera.",
        "Images are published on /NAME/image_raw; frame ids begin with NAME_.",
        Changeable.BEFORE_START,
    ),
    ParameterSpec(
        "loop",
        True,
        "Start again at the end of the recording.",
        "With false, nothing is published after the end.",
        Changeable.BEFORE_START,
    ),
    ParameterSpec(
        "rate_hz",
        10.0,
        "Frames per second.",
        changeable=Changeable.BEFORE_START,
        range=(0.1, 240.0),
        unit="Hz",
    ),
)


class TabletopCamera(Node):
    """Publishes the frames of a bag at a fixed rate; all messages of a frame are stamped with the present time.

    The topics are those of the bag, under the camera's name; latched messages are published once. Raises
    BagError when the bag cannot be played.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__("tabletop_camera", **arguments)
        answer_every_request(self)
        for spec in _PARAMETERS:
            declare(self, spec, read_only=True)
        self._camera = str(self.get_parameter("camera").value)
        folder = str(self.get_parameter("recording").value)
        self._bag = Bag(Path(folder) if folder else shipped_bag())
        self._outputs = {
            topic.name: publisher
            for topic in self._bag.topics.values()
            if (publisher := self._publisher(topic)) is not None
        }
        self._publish_latched()
        self._frames = self._next_frames()
        rate_hz = float(self.get_parameter("rate_hz").value)
        self._timer = self.create_timer(1 / rate_hz, self._publish_frame)
        self.get_logger().info(f"playing {self._bag.folder} at {rate_hz:g} Hz")

    def _publisher(self, topic: BagTopic) -> Publisher | None:
        name = topic.name.replace(f"/{RECORDED_CAMERA}/", f"/{self._camera}/", 1)
        return publisher_for(self, topic, name, LATCHED if topic.latched else RESULTS)

    def _moving_topics(self) -> list[str]:
        return [name for name in self._outputs if not self._bag.topics[name].latched]

    def _publish_latched(self) -> None:
        latched = [name for name in self._outputs if self._bag.topics[name].latched]
        now = self.get_clock().now().to_msg()
        for message in self._bag.messages(latched):
            self._publish(message, now)

    def _next_frames(self) -> Iterator[list[BagMessage]]:
        """Yield the messages of one frame, those recorded at the same time, again from the start with `loop`."""
        while True:
            messages = self._bag.messages(self._moving_topics())
            for _, frame in groupby(messages, key=lambda message: message.time_ns):
                yield list(frame)
            if not self.get_parameter("loop").value:
                return

    def _publish_frame(self) -> None:
        frame = next(self._frames, None)
        if frame is None:
            self._timer.cancel()
            self.get_logger().info("the recording is over")
            return
        now = self.get_clock().now().to_msg()
        for message in frame:
            self._publish(message, now)

    def _publish(self, recorded: BagMessage, stamp: Time) -> None:
        message = deserialize_message(
            recorded.serialised, self._outputs[recorded.topic.name].msg_type
        )
        parts = message.transforms if hasattr(message, "transforms") else [message]
        for part in parts:
            part.header.stamp = stamp
            part.header.frame_id = self._renamed(part.header.frame_id)
            if hasattr(part, "child_frame_id"):
                part.child_frame_id = self._renamed(part.child_frame_id)
        self._outputs[recorded.topic.name].publish(message)

    def _renamed(self, frame_id: str) -> str:
        prefix = f"{RECORDED_CAMERA}_"
        if frame_id.startswith(prefix):
            return f"{self._camera}_{frame_id.removeprefix(prefix)}"
        return frame_id

    def destroy_node(self) -> None:
        """Close the bag, and destroy the node."""
        self._bag.close()
        super().destroy_node()


def main() -> None:
    """Run the executable `tabletop_camera`."""
    try:
        run(TabletopCamera)
    except (BagError, ParameterException) as error:
        sys.exit(f"tabletop_camera: {shown(error, 300)}")
