# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Clocks that stop, jump and loop, and stamps that say nothing: everything goes on."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest
from planner import Planner, image_message, running_node, stamp, stripes, values, wait_until
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo
from test_depth import camera_info, depth_image

from zs_seg_ros import msg

IMAGE = stripes("red", "white", height=24, width=24)
HOUR_NS = 3_600 * 10**9


def show(planner: Planner, stamps_ns: Sequence[int]) -> list[msg.ObjectMaskArray]:
    """One frame after the other; the objects of each."""
    received = planner.outputs("objects")
    found = []
    for stamp_ns in stamps_ns:
        message, count = image_message(IMAGE), len(received)
        stamp(message, stamp_ns)
        planner.send(message)
        found.append(planner.wait_for_more(received, count)[-1])
        assert found[-1].header.stamp == message.header.stamp
        assert [thing.class_name for thing in found[-1].objects] == ["red"]
    return found


def steps(start_ns: int, count: int = 5) -> list[int]:
    """Stamps of a camera of 10 Hz."""
    return [start_ns + number * 10**8 for number in range(count)]


@pytest.mark.parametrize(
    "jump_ns",
    [HOUR_NS, -HOUR_NS, -4 * 10**8],
    ids=["an hour on", "an hour back", "a bag that loops"],
)
def test_after_a_jump_frames_are_answered_and_tracks_begin_anew(jump_ns: int) -> None:
    now = time.time_ns()
    with running_node({"classes": ["red"]}) as planner:
        before = show(planner, steps(now))
        after = show(planner, steps(now + 5 * 10**8 + jump_ns))
        [old], [new] = ({f.objects[0].track_id for f in found[1:]} for found in (before, after))
        assert old and new and old != new
        assert (
            len({f.objects[0].track_id for f in show(planner, steps(now + HOUR_NS * 3))[1:]}) == 1
        )


def test_two_frames_with_one_stamp_and_stamps_of_zero_are_answered() -> None:
    now = time.time_ns()
    with running_node({"classes": ["red"]}) as planner:
        same = show(planner, [now, now, now, now + 10**8])
        assert len({f.objects[0].track_id for f in same[1:]}) == 1
        assert len({f.objects[0].track_id for f in show(planner, [0, 0, 0, 0])[1:]}) == 1
        planner.diagnosis("camera", lambda s: values(s)["frames out"] == "8", "eight frames")


def test_depth_with_stamps_of_zero_is_paired_with_the_newest() -> None:
    with running_node({"camera.depth": True, "classes": ["red"]}) as planner:
        objects = planner.outputs("objects")
        info: CameraInfo = camera_info()
        info.height, info.width = IMAGE.shape[:2]
        info.k[2], info.k[5] = 24.0, 12.0
        for metres in (1.0, 2.0, 3.0):
            message, count = image_message(IMAGE), len(objects)
            stamp(message, 0)
            depth = np.full(IMAGE.shape[:2], metres, np.float32)
            planner.send_depth(depth_image(depth, message), info)
            time.sleep(0.3)  # nothing tells when the node has it
            planner.send(message)
            thing = planner.wait_for_more(objects, count)[-1].objects[0]
            assert thing.has_position and thing.position.z == pytest.approx(metres)


def test_simulated_time_that_stands_still_or_jumps_stops_nothing() -> None:
    with running_node({"use_sim_time": True, "classes": ["red"]}) as planner:
        assert len(show(planner, [0, 10**8])) == 2  # there is no clock yet
        clock = planner.node.create_publisher(Clock, "/clock", 10)
        wait_until(clock.get_subscription_count, "a subscription to /clock")
        for seconds in (5_000, 5_000, 100, 9_000, 0):
            message = Clock()
            message.clock.sec = seconds
            clock.publish(message)
            planner.diagnosis("camera", lambda status: True, "anything")
            assert len(show(planner, steps(seconds * 10**9, 3))) == 3
            assert planner.set_vocabulary("red").success
        assert planner.set_parameters(
            {"use_sim_time": Parameter("use_sim_time", value=False)}
        ).successful
        assert planner.label_of(IMAGE).any()


def test_old_frames_are_told_of_and_new_ones_end_that() -> None:
    with running_node({"classes": ["red"]}) as planner:
        show(planner, [time.time_ns() - HOUR_NS])
        planner.diagnosis_saying("camera", "s behind their images' stamps", "use_sim_time")
        for _ in range(3):
            show(planner, [time.time_ns()])
        planner.diagnosis("camera", lambda s: "behind" not in s.message, "no old frames any more")
