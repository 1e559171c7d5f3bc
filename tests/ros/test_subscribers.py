# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The node subscribes to a camera while a result has subscribers, and to depth while a result needs it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from planner import (
    LATCHED,
    Planner,
    image_message,
    repeating,
    running_node,
    stripes,
    values,
    wait_until,
)
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, Image

from zs_seg_ros import srv
from zs_seg_ros.segmenters.fake import FakeSegmenter
from zs_seg_ros.types import Batch

IMAGE = stripes("red", "white", "blue", height=20, width=12)


def publisher(planner: Planner, topic: str, message_type: Any = Image, qos: Any = 1) -> Publisher:
    return planner.node.create_publisher(message_type, topic, qos)


def end_subscriptions(planner: Planner, topic: str) -> None:
    for subscription in list(planner.node.subscriptions):
        if subscription.topic_name == topic:
            planner.node.destroy_subscription(subscription)


def subscribed(topic: Publisher) -> bool:
    return topic.get_subscription_count() > 0


def test_a_camera_is_subscribed_to_while_a_result_has_subscribers() -> None:
    with running_node({"classes": ["red"]}) as planner:
        images = publisher(planner, "/camera/image_raw")
        status = planner.diagnosis_saying("camera", "no subscribers", "is not subscribed to")
        assert status.level == status.OK
        assert not subscribed(images)

        label = planner.label_of(IMAGE)
        assert label[0, ::12].tolist() == [1, 0, 0]
        status = planner.diagnosis("camera", lambda s: values(s)["frames out"] == "1", "a frame")
        assert "no subscribers" not in status.message

        end_subscriptions(planner, "/zs_seg/camera/label")
        wait_until(lambda: not subscribed(images), "the end of the subscription")
        status = planner.diagnosis_saying("camera", "no subscribers")
        assert values(status)["frames in"] == "1", "counts go on"

        confidences = planner.outputs("confidence")
        planner.send(message := image_message(IMAGE))
        confidence = planner.output_with_stamp_of(message, confidences)
        assert np.frombuffer(confidence.data, np.uint8).any()


def test_a_viewer_that_subscribes_anew_does_not_interrupt_the_camera() -> None:
    with running_node({"classes": ["red"]}) as planner:
        planner.outputs()
        images = publisher(planner, "/camera/image_raw")
        wait_until(lambda: subscribed(images), "the subscription")
        end_subscriptions(planner, "/zs_seg/camera/label")
        planner.outputs("overlay")
        end = time.monotonic() + 1.5  # longer than a subscription that is not needed lasts
        while time.monotonic() < end:
            assert subscribed(images)
            time.sleep(0.01)


def test_only_cameras_whose_results_have_subscribers_are_subscribed_to() -> None:
    with running_node({"classes": ["red"], "cameras": ["left", "right"]}) as planner:
        left, right = (publisher(planner, f"/{name}/image_raw") for name in ("left", "right"))
        planner.outputs(camera="right")
        wait_until(lambda: subscribed(right), "the right camera's subscription")
        planner.diagnosis_saying("left", "no subscribers")
        assert not subscribed(left)

        planner.set_parameters({"cameras": ["right", "top"]})
        top = publisher(planner, "/top/image_raw")
        planner.diagnosis_saying("top", "no subscribers")
        assert not subscribed(top)
        assert planner.label_of(IMAGE, "top").any()


def test_depth_is_subscribed_to_while_a_result_needs_it() -> None:
    with running_node({"classes": ["red"], "camera.depth": True}) as planner:
        depth = publisher(planner, "/camera/depth/image_raw")
        info = publisher(planner, "/camera/camera_info", CameraInfo)
        assert planner.label_of(IMAGE).any()
        assert not subscribed(depth)
        assert not subscribed(info)

        planner.outputs("objects")
        wait_until(lambda: subscribed(depth) and subscribed(info), "the subscriptions to depth")
        end_subscriptions(planner, "/zs_seg/camera/objects")
        wait_until(lambda: not subscribed(depth) and not subscribed(info), "their end")
        assert planner.label_of(IMAGE).any()


def test_depth_follows_its_subscribers_while_images_arrive() -> None:
    """Then the images look for subscribers, not the thread that follows them."""
    with running_node({"classes": ["red"], "camera.depth": True}) as planner:
        depth = publisher(planner, "/camera/depth/image_raw")
        assert planner.label_of(IMAGE).any()
        with repeating(lambda: planner.send(image_message(IMAGE)), 30):
            planner.outputs("objects")
            wait_until(lambda: subscribed(depth), "the subscription to depth")
            end_subscriptions(planner, "/zs_seg/camera/objects")
            wait_until(lambda: not subscribed(depth), "its end")


def test_a_latched_camera_info_from_before_the_subscription_is_received() -> None:
    height, width = IMAGE.shape[:2]
    with running_node({"classes": ["red"], "camera.depth": True}) as planner:
        k = [50.0, 0.0, width / 2, 0.0, 50.0, height / 2, 0.0, 0.0, 1.0]
        info = publisher(planner, "/camera/camera_info", CameraInfo, LATCHED)
        info.publish(CameraInfo(height=height, width=width, k=k))

        objects = planner.outputs("objects")

        def position() -> Any:  # the first images may be received before the calibration
            message = image_message(IMAGE)
            depth = image_message(np.full((height, width), 1500, np.uint16), "16UC1")
            depth.header = message.header
            planner.publish("/camera/depth/image_raw", depth)
            planner.send(message)
            detected = planner.output_with_stamp_of(message, objects).objects
            return detected[0].position if detected[0].has_position else None

        assert wait_until(position, "a position").z == pytest.approx(1.5)


def test_without_subscribers_services_answer_and_no_image_is_segmented(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[tuple[int, ...]] = []

    class Watched(FakeSegmenter):
        def segment(self, batch: Batch, encoded: Any) -> Any:
            sizes.extend(image.shape for image in batch.images if image.shape == IMAGE.shape)
            return super().segment(batch, encoded)

    monkeypatch.setattr("zs_seg_ros.segmenters.fake.FakeSegmenter", Watched)
    with running_node() as planner:
        images = publisher(planner, "/camera/image_raw")
        assert planner.set_vocabulary("blue").success
        images.publish(image_message(IMAGE))
        planner.diagnosis_saying("camera", "no subscribers")
        assert sizes == []
        request = srv.SegmentImage.Request(image=image_message(IMAGE))
        answer = planner.call(srv.SegmentImage, "segment", request)
        assert answer.success, answer.message
        assert sizes == [IMAGE.shape]
        assert planner.label_of(IMAGE)[0, ::12].tolist() == [0, 0, 1]
