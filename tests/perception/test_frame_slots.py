# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Slots for the newest frame of each camera."""

from __future__ import annotations

import threading

import numpy as np

from zs_seg_ros import Frame, FrameSlots

PATIENCE_S = 10.0
"""The longest that a test waits before it fails."""
IMAGE = np.zeros((2, 2, 3), np.uint8)


def frame(camera: str, number: int) -> Frame:
    return Frame(camera, IMAGE, stamp_ns=number, received_ns=number)


def test_the_newest_frame_of_a_camera_replaces_the_one_that_waits() -> None:
    slots = FrameSlots(["left"])
    for number in range(5):
        slots.put(frame("left", number))
    assert [taken.stamp_ns for taken in slots.take()] == [4]
    assert slots.skipped("left") == 4


def test_a_taken_frame_is_gone_and_not_counted_as_skipped() -> None:
    slots = FrameSlots(["left"])
    slots.put(frame("left", 1))
    slots.take()
    slots.put(frame("left", 2))
    assert [taken.stamp_ns for taken in slots.take()] == [2]
    assert slots.take(timeout_s=0) == ()
    assert slots.skipped("left") == 0


def test_cameras_that_wait_together_are_taken_together_oldest_first() -> None:
    slots = FrameSlots(["left", "right", "top"])
    slots.put(frame("right", 1))
    slots.put(frame("left", 2))
    slots.put(frame("right", 3))
    assert [(taken.camera, taken.stamp_ns) for taken in slots.take()] == [("left", 2), ("right", 3)]
    assert [slots.skipped(camera) for camera in ("left", "right", "top")] == [0, 1, 0]


def test_take_returns_no_frame_after_its_timeout() -> None:
    assert FrameSlots(["left"]).take(timeout_s=0.05) == ()


def take_in_a_thread(slots: FrameSlots) -> tuple[threading.Thread, list[tuple[Frame, ...]]]:
    taken: list[tuple[Frame, ...]] = []
    thread = threading.Thread(target=lambda: taken.append(slots.take()), daemon=True)
    thread.start()
    return thread, taken


def test_a_frame_ends_a_take_that_waits() -> None:
    slots = FrameSlots(["left"])
    thread, taken = take_in_a_thread(slots)
    slots.put(frame("left", 1))
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert [one.stamp_ns for one in taken[0]] == [1]


def test_close_ends_a_take_that_waits() -> None:
    slots = FrameSlots(["left"])
    thread, taken = take_in_a_thread(slots)
    slots.close()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert taken == [()]


def test_close_drops_waiting_and_later_frames() -> None:
    slots = FrameSlots(["left"])
    slots.put(frame("left", 1))
    assert not slots.closed
    slots.close()
    slots.put(frame("left", 2))
    assert slots.closed
    assert slots.take() == ()
    assert slots.skipped("left") == 0


def test_between_two_threads_each_frame_is_either_taken_or_skipped_and_order_holds() -> None:
    count = 2000
    slots = FrameSlots(["left"])
    taken: list[int] = []

    def take_all() -> None:
        while not taken or taken[-1] != count:
            taken.extend(one.stamp_ns for one in slots.take(PATIENCE_S))

    thread = threading.Thread(target=take_all, daemon=True)
    thread.start()
    for number in range(1, count + 1):
        slots.put(frame("left", number))
    thread.join(PATIENCE_S)
    assert not thread.is_alive(), "the last frame never arrived"
    assert taken == sorted(set(taken))
    assert len(taken) + slots.skipped("left") == count


def test_of_a_camera_without_a_slot_no_frame_was_skipped() -> None:
    """Diagnostics may ask between the activation of the node and that of its cameras."""
    assert FrameSlots(["front"]).skipped("rear") == 0


def batches(slots: FrameSlots, cameras: str, count: int) -> list[str]:
    """The cameras of successive batches, while every camera always has a new frame."""
    taken = []
    for _ in range(count):
        for camera in cameras:
            slots.put(Frame(camera, IMAGE))
        taken.append("".join(sorted(frame.camera for frame in slots.take(0))))
    return taken


def test_cameras_of_equal_priority_are_taken_together() -> None:
    slots = FrameSlots("abc")
    slots.set_priorities({"a": 5, "b": 5, "c": 5})
    assert batches(slots, "abc", 3) == ["abc", "abc", "abc"]


def test_a_camera_is_passed_over_as_often_as_its_priority_is_lower() -> None:
    slots = FrameSlots("abc")
    slots.set_priorities({"a": 3, "b": 2})
    assert batches(slots, "abc", 9) == ["a", "ab", "a", "abc", "a", "ab", "a", "abc", "a"]


def test_a_camera_that_waits_alone_is_taken_at_once() -> None:
    slots = FrameSlots("ab")
    slots.set_priorities({"a": 100})
    assert batches(slots, "b", 2) == ["b", "b"]


def test_a_frame_that_is_passed_over_keeps_waiting_and_is_counted_when_it_is_replaced() -> None:
    slots = FrameSlots("ab")
    slots.set_priorities({"a": 2})
    assert batches(slots, "ab", 2) == ["a", "a"]
    assert [frame.camera for frame in slots.take(0)] == ["b"]
    assert (slots.skipped("a"), slots.skipped("b")) == (0, 1)


def test_priorities_may_change_at_any_time() -> None:
    slots = FrameSlots("ab")
    slots.set_priorities({"a": 100})
    assert batches(slots, "ab", 3) == ["a", "a", "a"]
    slots.set_priorities({"b": 1})
    assert batches(slots, "ab", 2) == ["b", "ab"]


def test_a_camera_that_is_removed_is_not_passed_over_any_more() -> None:
    slots = FrameSlots("ab")
    slots.set_priorities({"a": 2})
    assert batches(slots, "ab", 2) == ["a", "a"]
    slots.remove("b")
    slots.add("b")
    assert batches(slots, "ab", 3) == ["a", "a", "ab"]


def test_within_the_least_period_nothing_is_taken_and_frames_are_counted_apart() -> None:
    slots = FrameSlots("a")
    slots.set_min_period(3600)
    slots.put(Frame("a", IMAGE, stamp_ns=1))
    assert len(slots.take(0)) == 1
    for stamp_ns in (2, 3, 4):
        slots.put(Frame("a", IMAGE, stamp_ns=stamp_ns))
    assert slots.take(0.01) == ()
    assert (slots.skipped("a"), slots.paced("a")) == (0, 2)
    slots.set_min_period(0)
    assert [frame.stamp_ns for frame in slots.take(0)] == [4]


def test_a_period_that_ends_while_take_waits_lets_it_return() -> None:
    slots = FrameSlots("a")
    slots.set_min_period(3600)
    slots.put(Frame("a", IMAGE))
    slots.take(0)
    slots.put(Frame("a", IMAGE, stamp_ns=7))
    threading.Timer(0.05, slots.set_min_period, (0.1,)).start()
    assert [frame.stamp_ns for frame in slots.take(10)] == [7]


def test_frames_that_are_answered_otherwise_are_not_counted() -> None:
    slots = FrameSlots("a")
    for _ in range(3):
        slots.put(Frame("a", IMAGE), counted=False)
    assert (slots.skipped("a"), slots.paced("a")) == (0, 0)


def test_frames_that_are_cleared_are_not_taken() -> None:
    slots = FrameSlots("a")
    slots.put(Frame("a", IMAGE))
    slots.clear()
    assert slots.take(0) == ()
