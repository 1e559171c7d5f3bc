"""Each image finds the depth image of its moment, whichever comes first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zs_seg_ros.images.depth_pairing import DepthPairing
from zs_seg_ros.types import DepthImage, Frame, Intrinsics

INTRINSICS = Intrinsics(50.0, 50.0, 3.0, 2.0, 6, 4)
MS = 1_000_000


def frame(stamp_ms: float) -> Frame:
    return Frame("camera", np.zeros((4, 6, 3), np.uint8), stamp_ns=int(stamp_ms * MS))


def depth(stamp_ms: float) -> DepthImage:
    return DepthImage(np.ones((4, 6), np.float32), INTRINSICS, int(stamp_ms * MS))


def stamps(frames: list[Frame]) -> list[tuple[float, float | None]]:
    """In milliseconds: of the image, and of its depth."""
    return [(f.stamp_ns / MS, f.depth and f.depth.stamp_ns / MS) for f in frames]


def test_depth_that_came_first_is_found() -> None:
    pairing = DepthPairing(20 * MS)
    assert pairing.add_depth(depth(100)) == []
    assert stamps(pairing.add_frame(frame(100))) == [(100, 100)]
    assert pairing.unpaired == 0


def test_depth_that_is_known_to_come_is_waited_for_from_the_first_frame_on() -> None:
    pairing = DepthPairing(20 * MS, expected=True)
    assert pairing.add_frame(frame(100)) == []
    assert stamps(pairing.add_depth(depth(100))) == [(100, 100)]
    assert pairing.add_frame(frame(200)) == []
    assert stamps(pairing.end()) == [(200, None)]
    assert pairing.end() == []


def test_a_frame_does_not_wait_for_ever() -> None:
    pairing = DepthPairing(20 * MS, expected=True)
    pairing.add_frame(replace(frame(100), received_ns=5))
    assert pairing.overdue(received_before_ns=5) == []
    assert stamps(pairing.overdue(received_before_ns=6)) == [(100, None)]
    assert pairing.overdue(received_before_ns=6) == []
    assert pairing.unpaired == 1


def test_depth_that_comes_later_is_waited_for() -> None:
    pairing = DepthPairing(20 * MS)
    pairing.add_depth(depth(0))
    assert pairing.add_frame(frame(100)) == []
    assert stamps(pairing.add_depth(depth(100))) == [(100, 100)]
    assert pairing.add_depth(depth(101)) == []


def test_the_nearest_depth_within_the_tolerance_is_taken() -> None:
    pairing = DepthPairing(20 * MS)
    for stamp in (70, 95, 104, 118):
        pairing.add_depth(depth(stamp))
    assert stamps(pairing.add_frame(frame(101))) == [(101, 104)]


def test_an_image_without_depth_goes_on_when_the_next_one_comes() -> None:
    pairing = DepthPairing(20 * MS)
    pairing.add_depth(depth(0))
    assert pairing.add_frame(frame(100)) == []
    assert stamps(pairing.add_frame(frame(200))) == [(100, None), (200, None)]
    assert pairing.unpaired == 2


def test_while_no_depth_comes_images_do_not_wait_and_later_they_do_again() -> None:
    pairing = DepthPairing(20 * MS)
    assert stamps(pairing.add_frame(frame(100))) == [(100, None)]
    assert stamps(pairing.add_frame(frame(200))) == [(200, None)]
    pairing.add_depth(depth(250))
    assert pairing.add_frame(frame(300)) == []
    assert stamps(pairing.add_depth(depth(300))) == [(300, 300)]
    assert pairing.unpaired == 2


def test_other_depth_does_not_release_an_image_that_waits() -> None:
    pairing = DepthPairing(20 * MS)
    pairing.add_depth(depth(0))
    pairing.add_frame(frame(100))
    assert pairing.add_depth(depth(50)) == []
    assert stamps(pairing.add_depth(depth(95))) == [(100, 95)]


def test_old_depth_is_forgotten() -> None:
    pairing = DepthPairing(20 * MS)
    for stamp in range(0, 1000, 33):
        pairing.add_depth(depth(stamp))
    assert stamps(pairing.add_frame(frame(990))) == [(990, 990)]
    assert pairing.add_frame(frame(0)) == []
