# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A camera's messages are received one after the other, in a thread of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import rclpy
from planner import TIMEOUT_S, wait_until
from rclpy.duration import Duration
from rclpy.node import Node
from std_msgs.msg import String

from zs_seg_ros.ros.camera_receiver import CameraReceiver


class Topic:
    """A topic with a publisher and a subscription that the receiver receives from."""

    def __init__(self, node: Node, receiver: CameraReceiver, name: str, on_message: Any) -> None:
        self.publisher = node.create_publisher(String, name, 5)
        self.subscription = node.create_subscription(
            String, name, print, 5, callback_group=receiver.callback_group
        )
        wait_until(self.publisher.get_subscription_count, f"the subscription to {name}")
        receiver.receive(self, self.subscription, lambda message: on_message(message.data))

    def publish(self, text: str) -> None:
        """Publish, and wait until the message has arrived."""
        self.publisher.publish(String(data=text))
        assert self.publisher.wait_for_all_acked(Duration(seconds=TIMEOUT_S))


@contextmanager
def receiver_of_a_node() -> Iterator[tuple[Node, CameraReceiver]]:
    node = rclpy.create_node("receiving")
    receiver = CameraReceiver(node)
    try:
        yield node, receiver
    finally:
        receiver.destroy()
        node.destroy_node()


def camera_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "camera"]


def test_of_messages_that_have_arrived_those_of_earlier_owners_come_first() -> None:
    received: list[str] = []
    held, go_on = threading.Event(), threading.Event()

    def on_image(text: str) -> None:
        received.append(text)
        held.set()
        assert go_on.wait(TIMEOUT_S)

    with receiver_of_a_node() as (node, receiver):
        depth = Topic(node, receiver, "receiving/depth", received.append)
        image = Topic(node, receiver, "receiving/image", on_image)
        image.publish("image 1")
        assert held.wait(TIMEOUT_S)
        image.publish("image 2")
        depth.publish("depth 2")
        go_on.set()
        wait_until(lambda: len(received) == 3, "all messages")
        assert received == ["image 1", "depth 2", "image 2"]
        for topic in (depth, image):
            receiver.stop(topic)
        wait_until(lambda: not camera_threads(), "the end of the thread")


def test_after_an_error_the_next_message_is_processed(capfd: pytest.CaptureFixture[str]) -> None:
    received: list[int] = []
    with receiver_of_a_node() as (node, receiver):
        topic = Topic(node, receiver, "receiving/number", lambda text: received.append(int(text)))
        topic.publish("seven")
        topic.publish("8")
        wait_until(lambda: received, "the second message")
        assert received == [8]
        receiver.stop(topic)
        wait_until(lambda: not camera_threads(), "the end of the thread")
    assert "a message was dropped: " in capfd.readouterr().err


def test_receiving_goes_on_after_a_stop_and_a_new_subscription() -> None:
    received: list[str] = []
    with receiver_of_a_node() as (node, receiver):
        topic = Topic(node, receiver, "receiving/name", received.append)
        topic.publish("first")
        wait_until(lambda: received, "the first message")
        for number in range(20):
            receiver.stop(topic)
            receiver.receive(
                topic, topic.subscription, lambda message: received.append(message.data)
            )
            topic.publish(str(number))
            wait_until(lambda n=number: received[-1] == str(n), f"message {number}")  # type: ignore[misc]
        receiver.stop(topic)
        wait_until(lambda: not camera_threads(), "the end of the thread")
