"""Slots for the newest frame of each camera."""

from __future__ import annotations

import threading

import numpy as np

from zs_seg_ros import Frame, FrameSlots

PATIENCE_S = 10.0
"""The longest that a test waits before it fails."""


def frame(camera: str, number: int) -> Frame:
    return Frame(camera, np.zeros((2, 2, 3), np.uint8), stamp_ns=number, received_ns=number)


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
