# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Cameras whose topics have other names than the default ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bag_messages import START_NS, BagWriter, camera_info, compressed, image_message

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.bags.bag_cameras import BagCamera, find_cameras
from zs_seg_ros.errors import BagError

PIXELS = np.zeros((48, 64, 3), np.uint8)
DEPTH = np.zeros((48, 64), np.uint16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with BagWriter(tmp_path / "bag") as bag:
        bag.write("/image_raw", START_NS, image_message(PIXELS, START_NS))
        bag.write("/zed/left/rect", START_NS, compressed(PIXELS, START_NS, ".png"))
        bag.write("/aligned_depth", START_NS, image_message(DEPTH, START_NS, "16UC1"))
        bag.write("/info", START_NS, camera_info(START_NS))
    return tmp_path / "bag"


def test_a_camera_may_be_given_by_its_topics(folder: Path) -> None:
    with Bag(folder) as bag:
        given = ["front=/image_raw,/aligned_depth,/info", "left=/zed/left/rect"]
        assert find_cameras(bag, given) == (
            BagCamera("front", "/image_raw", "/aligned_depth", "/info"),
            BagCamera("left", "/zed/left/rect", compressed=True),
        )
        assert [c.transport for c in find_cameras(bag, given)] == ["raw", "compressed"]


def test_without_a_camera_the_error_offers_every_image_topic(folder: Path) -> None:
    with Bag(folder) as bag, pytest.raises(BagError) as caught:
        find_cameras(bag)
    options = "--camera camera=/image_raw, or --camera zed_left_rect=/zed/left/rect; it has"
    assert options in str(caught.value)
    assert "aligned_depth=/aligned_depth" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("front=/nope", "no topic /nope"),
        ("front=", "not of the form"),
        ("front=/image_raw,/aligned_depth", "not of the form"),
        ("front=/info", "has the type sensor_msgs/msg/CameraInfo"),
    ],
)
def test_a_camera_that_cannot_be_is_refused(folder: Path, text: str, reason: str) -> None:
    with Bag(folder) as bag, pytest.raises(BagError, match=reason):
        find_cameras(bag, [text])
