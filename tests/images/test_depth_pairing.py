# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Each image is paired with the depth image of its stamp, whichever is received first."""

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
    """Return the stamps of each image and of its depth, in milliseconds."""
    return [(f.stamp_ns / MS, f.depth and f.depth.stamp_ns / MS) for f in frames]


def test_an_image_is_paired_with_depth_that_was_received_before() -> None:
    pairing = DepthPairing(20 * MS)
    assert pairing.add_depth(depth(100)) == []
    assert stamps(pairing.add_frame(frame(100))) == [(100, 100)]
    assert pairing.unpaired == 0


def test_with_expected_depth_also_the_first_frame_waits() -> None:
    pairing = DepthPairing(20 * MS, expected=True)
    assert pairing.add_frame(frame(100)) == []
    assert stamps(pairing.add_depth(depth(100))) == [(100, 100)]
    assert pairing.add_frame(frame(200)) == []
    assert stamps(pairing.end()) == [(200, None)]
    assert pairing.end() == []


def test_an_overdue_frame_is_forwarded_without_depth() -> None:
    pairing = DepthPairing(20 * MS, expected=True)
    pairing.add_frame(replace(frame(100), received_ns=5))
    assert pairing.overdue(received_before_ns=5) == []
    assert stamps(pairing.overdue(received_before_ns=6)) == [(100, None)]
    assert pairing.overdue(received_before_ns=6) == []
    assert pairing.unpaired == 1


def test_an_image_waits_for_depth_that_is_received_later() -> None:
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


def test_an_image_without_depth_is_forwarded_with_the_next_image() -> None:
    pairing = DepthPairing(20 * MS)
    pairing.add_depth(depth(0))
    assert pairing.add_frame(frame(100)) == []
    assert stamps(pairing.add_frame(frame(200))) == [(100, None), (200, None)]
    assert pairing.unpaired == 2


def test_images_wait_only_while_depth_is_received() -> None:
    pairing = DepthPairing(20 * MS)
    assert stamps(pairing.add_frame(frame(100))) == [(100, None)]
    assert stamps(pairing.add_frame(frame(200))) == [(200, None)]
    pairing.add_depth(depth(250))
    assert pairing.add_frame(frame(300)) == []
    assert stamps(pairing.add_depth(depth(300))) == [(300, 300)]
    assert pairing.unpaired == 2


def test_depth_of_another_stamp_does_not_release_a_waiting_image() -> None:
    pairing = DepthPairing(20 * MS)
    pairing.add_depth(depth(0))
    pairing.add_frame(frame(100))
    assert pairing.add_depth(depth(50)) == []
    assert stamps(pairing.add_depth(depth(95))) == [(100, 95)]


def test_old_depth_is_dropped() -> None:
    pairing = DepthPairing(20 * MS)
    for stamp in range(0, 1000, 33):
        pairing.add_depth(depth(stamp))
    assert stamps(pairing.add_frame(frame(990))) == [(990, 990)]
    assert pairing.add_frame(frame(0)) == []
