# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The node hears cameras whatever reliability they offer, and says so when it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import rclpy
from planner import BEST_EFFORT, LATCHED, image_message, running_node, stripes, wait_until
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

IMAGE = stripes("red", "blue")
RELIABLE = 1


@pytest.mark.parametrize("qos", [BEST_EFFORT, RELIABLE], ids=["best effort", "reliable"])
@pytest.mark.parametrize("reliability", ["auto", "best_effort"])
def test_a_camera_is_heard_whatever_it_offers(qos: object, reliability: str) -> None:
    parameters = {"classes": ["red"], "camera.reliability": reliability}
    with running_node(parameters) as planner:
        labels = planner.outputs()
        frame = image_message(IMAGE)
        planner.send(frame, qos=qos)
        label = planner.output_with_stamp_of(frame, labels)
        assert set(label.data) == {0, 1}


@contextmanager
def another_participant() -> Iterator[Node]:
    """A node as of another process: in one process DDS allows a topic one type only."""
    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        yield rclpy.create_node("another", context=context)
    finally:
        rclpy.shutdown(context=context)


def test_publishers_that_come_and_go_are_followed() -> None:
    with running_node({"classes": ["red"]}) as planner:
        labels = planner.outputs()
        reliable = planner.node.create_publisher(Image, "/camera/image_raw", RELIABLE)
        best_effort = planner.node.create_publisher(Image, "/camera/image_raw", BEST_EFFORT)
        for publisher in (best_effort, reliable):
            wait_until(publisher.get_subscription_count, "a subscription")
            publisher.publish(frame := image_message(IMAGE))
            planner.output_with_stamp_of(frame, labels)

        planner.node.destroy_publisher(best_effort)

        def asks_for_reliable() -> bool:
            found = planner.node.get_subscriptions_info_by_topic("/camera/image_raw")
            return [s.qos_profile.reliability.name for s in found] == ["RELIABLE"]

        wait_until(asks_for_reliable, "a reliable subscription")
        wait_until(reliable.get_subscription_count, "a subscription")
        reliable.publish(frame := image_message(IMAGE))
        planner.output_with_stamp_of(frame, labels)


def test_a_mismatch_that_was_asked_for_is_reported_with_the_remedy() -> None:
    parameters = {"classes": ["red"], "camera.reliability": "reliable"}
    with running_node(parameters) as planner:
        planner.outputs()
        images = planner.node.create_publisher(Image, "/camera/image_raw", BEST_EFFORT)
        images.publish(image_message(IMAGE))
        status = planner.diagnosis_saying(
            "camera", "QoS mismatch", "/camera/image_raw", "camera.reliability", "best_effort"
        )
        assert status.level == status.ERROR


@pytest.mark.parametrize("others", [0, 1, 2], ids=lambda n: f"beside {n} that receive")
def test_a_subscriber_that_asks_for_more_than_is_offered_is_reported(others: int) -> None:
    with running_node({"classes": ["red"]}) as planner:
        for topic in ("confidence", *["label"] * others):
            planner.outputs(topic)
        planner.subscribe("/zs_seg/camera/label", Image, LATCHED, print, matched=False)
        status = planner.diagnosis_saying("camera", "QoS mismatch", "planner", "camera/label")
        assert "confidence" not in status.message


def test_a_camera_that_publishes_another_type_is_reported() -> None:
    with running_node({"classes": ["red"]}) as planner, another_participant() as camera:
        planner.outputs()
        camera.create_publisher(CompressedImage, "/camera/image_raw", 1)
        status = planner.diagnosis_saying(
            "camera", "/camera/image_raw", "sensor_msgs/msg/CompressedImage", "transport"
        )
        assert status.level == status.ERROR
