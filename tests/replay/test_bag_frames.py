# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Cameras of a bag, and their frames with depth."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_bags import Camera, write_bag

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.bags.bag_cameras import BagCamera, find_cameras, require_camera
from zs_seg_ros.errors import BagError
from zs_seg_ros.replay.bag_frames import frames, stamp_of, with_stamp

TABLETOP = Path(__file__).resolve().parents[2] / "recordings" / "tabletop"


def test_cameras_are_found_with_their_transports_and_their_depth(tmp_path: Path) -> None:
    bag = write_bag(
        tmp_path / "bag",
        Camera("front", depth=True),
        Camera("arm/left", compressed=True, depth=True, compressed_depth=True),
        Camera("rear", compressed=True),
    )
    with Bag(bag) as reader:
        assert find_cameras(reader) == (
            BagCamera(
                "arm/left",
                "/arm/left/image_raw/compressed",
                "/arm/left/depth/image_raw/compressedDepth",
                "/arm/left/camera_info",
            ),
            BagCamera("front", "/front/image_raw", "/front/depth/image_raw", "/front/camera_info"),
            BagCamera("rear", "/rear/image_raw/compressed"),
        )
        assert [c.name for c in find_cameras(reader, ["rear"])] == ["rear"]


def test_the_shipped_recordings_ground_truth_and_depth_are_no_cameras() -> None:
    with Bag(TABLETOP) as reader:
        [camera] = find_cameras(reader)
    assert camera.topics == ("/camera/image_raw", "/camera/depth/image_raw", "/camera/camera_info")


def test_a_topic_of_compressed_depth_images_is_not_taken_for_a_camera(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", Camera("front"), Camera("arm/depth", depth_images=True))
    with Bag(bag) as reader:
        assert [camera.name for camera in find_cameras(reader)] == ["front"]


def test_a_missing_camera_or_topic_is_reported_with_the_topics_of_the_bag(tmp_path: Path) -> None:
    with Bag(write_bag(tmp_path / "bag")) as reader:
        with pytest.raises(BagError, match=r"no camera 'rear'.*; it has /camera/image_raw"):
            find_cameras(reader, ["rear"])
        with pytest.raises(BagError, match=r"/camera/depth/image_raw, which .* not have"):
            require_camera(reader, "camera", "raw", "raw")


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 10**9 - 1), st.booleans())
def test_a_stamp_is_replaced_and_all_other_bytes_stay(seconds: int, ns: int, little: bool) -> None:
    stamp = seconds * 10**9 + ns
    empty = bytes([0, int(little), 0, 0]) + bytes(8) + b"other fields"
    changed = with_stamp(empty, stamp)
    assert stamp_of(changed) == stamp
    assert (changed[:4], changed[12:]) == (empty[:4], empty[12:])


@pytest.mark.parametrize("late_ns", [0, 5_000_000, 99_000_000, -50_000_000])
def test_depth_is_found_whether_it_was_recorded_before_its_image_or_after(
    tmp_path: Path, late_ns: int
) -> None:
    bag = write_bag(tmp_path / "bag", Camera(depth=True, depth_late_ns=late_ns), frames=6)
    with Bag(bag) as reader:
        read = list(frames(reader, find_cameras(reader)))
    assert [frame.index for frame in read] == list(range(6))
    for frame in read:
        assert frame.depth is not None and frame.info is not None
        assert stamp_of(frame.depth.serialised) == frame.stamp_ns


def test_an_image_without_depth_is_yielded_in_order_without_depth(tmp_path: Path) -> None:
    cameras = Camera("a", depth=True, without_depth=(0, 2, 5)), Camera("b")
    with Bag(write_bag(tmp_path / "bag", *cameras, frames=6)) as reader:
        read = list(frames(reader, find_cameras(reader)))
    assert [(f.camera.name, f.index) for f in read] == [(c, i) for i in range(6) for c in "ab"]
    assert [f.index for f in read if f.camera.name == "a" and f.depth is None] == [0, 2, 5]


def test_every_third_image_keeps_its_index(tmp_path: Path) -> None:
    with Bag(write_bag(tmp_path / "bag", Camera("a"), Camera("b"), frames=8)) as reader:
        read = list(frames(reader, find_cameras(reader), every=3))
    assert [(f.camera.name, f.index) for f in read] == [(c, i) for i in (0, 3, 6) for c in "ab"]


def test_reading_all_frames_holds_only_a_few() -> None:
    with Bag(TABLETOP) as reader:
        cameras = find_cameras(reader)
        tracemalloc.start()
        count = sum(len(frame.image.serialised) > 200_000 for frame in frames(reader, cameras))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert count == 240
    assert peak < 30e6  # of 92 MB
