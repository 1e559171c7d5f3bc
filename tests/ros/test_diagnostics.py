# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Nothing is silent: diagnostics tell what runs, how fast, and what is wrong with what to do about it."""

from __future__ import annotations

import time

import pytest
import rclpy
from planner import image_message, running_node, stamp, stripes, values
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_msgs.msg import String

IMAGE = stripes("red", "blue")


def test_diagnostics_tell_what_runs() -> None:
    with running_node({"classes": ["red", "blue cup"]}) as planner:
        status = planner.diagnosis("model", lambda s: values(s)["state"] == "active", "the state")
        assert values(status)["model"] == "fake"
        assert values(status)["device"] == "cpu"
        assert values(status)["vocabulary version"] == "1"
        assert values(status)["classes"] == "red, blue cup"
        assert "stand-in for tests" in status.message


def test_diagnostics_tell_counts_age_and_the_time_of_each_stage() -> None:
    with running_node({"classes": ["red"]}) as planner:
        for _ in range(3):
            planner.label_of(IMAGE)
        status = planner.diagnosis("camera", lambda s: values(s)["frames out"] == "3", "3 frames")
        found = values(status)
        assert (found["frames in"], found["frames skipped"], found["frames refused"]) == (
            "3",
            "0",
            "0",
        )
        for key in ("frame age (ms)", "segment (ms)", "publish (ms)"):
            assert 0 < float(found[key]) < 20_000


def test_a_node_without_words_says_how_to_give_it_some() -> None:
    with running_node() as planner:
        status = planner.diagnosis_saying("model", "no vocabulary yet", "/zs_seg/set_vocabulary")
        assert status.level == status.WARN
        planner.set_vocabulary("red")
        planner.diagnosis("model", lambda s: s.level == s.OK, "nothing wrong")


def test_a_camera_that_does_not_exist_is_reported() -> None:
    with running_node({"cameras": ["left"]}) as planner:
        status = planner.diagnosis_saying("left", "/left/image_raw has no publisher")
        assert status.level == status.WARN


def test_a_topic_with_two_types_is_reported() -> None:
    other = rclpy.Context()  # one participant has one type for a topic
    rclpy.init(args=[], context=other, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("other", context=other)
    try:
        with running_node() as planner:
            planner.node.create_publisher(Image, "/camera/image_raw", 10)
            node.create_publisher(String, "/camera/image_raw", 10)
            words = "/camera/image_raw is published as std_msgs/msg/String too"
            status = planner.diagnosis_saying("camera", words)
            assert status.level == status.WARN
    finally:
        node.destroy_node()
        rclpy.shutdown(context=other)


def test_a_camera_that_is_silent_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zs_seg_ros.ros.matching_subscription.SILENCE_S", 0.2)
    with running_node() as planner:
        planner.outputs()
        planner.node.create_publisher(Image, "/camera/image_raw", 10)
        status = planner.diagnosis_saying("camera", "no message on /camera/image_raw", "silent")
        assert status.level == status.WARN


def test_frames_that_are_too_old_are_reported() -> None:
    with running_node({"classes": ["red"]}) as planner:
        message = image_message(IMAGE)
        stamp(message, time.time_ns() - 60 * 10**9)
        planner.answer_to(message)
        status = planner.diagnosis_saying("camera", "behind their images' stamps", "clocks")
        assert status.level == status.WARN


def test_what_is_wrong_with_a_camera_is_also_in_the_log_but_not_every_second(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with running_node() as planner:
        for _ in range(4):
            planner.diagnosis_saying("camera", "has no publisher")
    assert capfd.readouterr().err.count("/camera/image_raw has no publisher") == 1
