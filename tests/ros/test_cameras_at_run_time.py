# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Cameras come and go by parameter while the node is active."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from planner import (
    Planner,
    image_message,
    pixels,
    repeating,
    running_node,
    stripes,
    wait_until,
)
from sensor_msgs.msg import Image

from zs_seg_ros.ros.segmentation_run import SegmentationRun
from zs_seg_ros.segmenters.fake import FakeSegmenter


def label_of(planner: Planner, image: NDArray[np.uint8], camera: str = "camera") -> NDArray[Any]:
    """The label image of an image that is published until it is answered, as a camera goes on publishing.

    The first images after a subscription has come or gone may be lost: nothing in DDS announces when none is any more.
    """
    labels, message = planner.outputs(camera=camera), image_message(image)

    def answers() -> list[Any]:
        planner.send(message, camera)
        time.sleep(0.05)
        return [label for label in labels if label.header.stamp == message.header.stamp]

    return pixels(wait_until(answers, f"a label image of {camera}")[0])


def listens(planner: Planner, topic: str) -> bool:
    return planner.node.count_subscribers(topic) > 0


def publishes(planner: Planner, topic: str) -> bool:
    return planner.node.count_publishers(topic) > 0


def test_a_camera_that_comes_is_segmented_and_one_that_goes_is_left() -> None:
    with running_node({"cameras": ["front"], "classes": ["red"]}) as planner:
        assert label_of(planner, stripes("red"), "front").all()
        assert planner.set_parameters({"cameras": ["front", "rear"]}).successful
        wait_until(lambda: publishes(planner, "/zs_seg/rear/label"), "the second camera's topics")
        assert label_of(planner, stripes("red", "blue"), "rear")[0, ::16].tolist() == [1, 0]
        assert label_of(planner, stripes("red"), "front").all()
        planner.diagnosis("rear", lambda status: True, "anything")

        assert planner.set_parameters({"cameras": ["rear"]}).successful
        wait_until(lambda: not publishes(planner, "/zs_seg/front/label"), "the first one's end")
        wait_until(lambda: not listens(planner, "/front/image_raw"), "that of its subscription")
        assert label_of(planner, stripes("red"), "rear").all()


def test_a_camera_that_comes_back_works_again() -> None:
    with running_node({"cameras": ["front", "rear"], "classes": ["red"]}) as planner:
        assert label_of(planner, stripes("red"), "rear").all()
        for cameras in (["front"], ["front", "rear"]):
            assert planner.set_parameters({"cameras": cameras}).successful
            there = "rear" in cameras
            wait_until(
                lambda there=there: publishes(planner, "/zs_seg/rear/label") == there, f"{cameras}"
            )
        assert label_of(planner, stripes("red"), "rear").all()


def test_a_camera_can_change_its_transport_while_active() -> None:
    with running_node({"classes": ["red"]}) as planner:
        assert label_of(planner, stripes("red")).all()
        assert planner.set_parameters({"camera.transport": "compressed"}).successful
        wait_until(lambda: listens(planner, "/camera/image_raw/compressed"), "the other topic")
        wait_until(lambda: not listens(planner, "/camera/image_raw"), "the end of the first one")


def test_cameras_that_come_before_activation_are_there_afterwards() -> None:
    with running_node({"classes": ["red"]}, state="inactive") as planner:
        assert planner.set_parameters({"cameras": ["other"]}).successful
        wait_until(lambda: publishes(planner, "/zs_seg/other/label"), "the new camera's topics")
        assert planner.change_state("activate")
        assert label_of(planner, stripes("red"), "other").all()


def test_a_wrong_list_of_cameras_changes_nothing() -> None:
    with running_node({"classes": ["red"]}) as planner:
        for wrong in ([], [""], ["a", "a"], ["no topic!"]):
            assert not planner.set_parameters({"cameras": wrong}).successful
        assert label_of(planner, stripes("red")).all()


def test_frames_of_a_camera_that_left_are_let_go() -> None:
    with running_node({"cameras": ["front", "rear"], "classes": ["red"]}) as planner:
        labels = planner.outputs(camera="rear")
        assert label_of(planner, stripes("red"), "rear").all()
        assert planner.set_parameters({"cameras": ["front"]}).successful
        wait_until(lambda: not listens(planner, "/rear/image_raw"), "the camera's end")
        wait_until(lambda: not publishes(planner, "/zs_seg/rear/label"), "that of its results")
        count = len(labels)
        assert label_of(planner, stripes("red"), "front").all()
        assert len(labels) == count


def test_a_camera_that_leaves_while_its_frames_are_processed_is_no_failure_of_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failures: list[str] = []
    monkeypatch.setattr(
        "zs_seg_ros.segmenters.fake.FakeSegmenter", lambda: FakeSegmenter(delay_s=0.02)
    )
    monkeypatch.setattr(
        SegmentationRun, "_drop", lambda _, frames, why: failures.append(f"{frames}: {why}")
    )
    image = image_message(stripes("red", height=240, width=320))
    with running_node({"cameras": ["front", "rear"], "classes": ["red"]}) as planner:
        for kind in ("label", "objects", "overlay", "instances"):
            received = planner.outputs(kind, "rear")
        assert label_of(planner, stripes("red"), "front").all()
        cameras = [
            planner.node.create_publisher(Image, f"/{c}/image_raw", 10) for c in ("front", "rear")
        ]
        with repeating(lambda: [camera.publish(image) for camera in cameras], 100):
            for _ in range(5):
                count = len(received)
                wait_until(lambda n=count: len(received) > n + 2, "results of the second camera")
                assert planner.set_parameters({"cameras": ["front"]}).successful
                wait_until(lambda: not publishes(planner, "/zs_seg/rear/label"), "its end")
                assert planner.set_parameters({"cameras": ["front", "rear"]}).successful
        assert label_of(planner, stripes("red"), "front").all()
    assert failures == []


def test_a_new_camera_whose_parameters_are_wrong_is_told_of_and_the_others_go_on() -> None:
    wrong = {"cameras": ["front"], "rear.transport": "pigeon", "classes": ["red"]}
    with running_node(wrong) as planner:
        assert planner.set_parameters({"cameras": ["front", "rear"]}).successful
        planner.diagnosis_saying("model", "the cameras stay as they are", "pigeon")
        assert label_of(planner, stripes("red"), "front").all()
        assert planner.set_parameters({"cameras": ["front"]}).successful
        planner.diagnosis("model", lambda s: "stay as they are" not in s.message, "all well")
