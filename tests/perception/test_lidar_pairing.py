# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Each cloud of a LiDAR goes with the image that is nearest in time."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from zs_seg_ros.perception.lidar_pairing import LidarPairing, StampedCloud
from zs_seg_ros.types import Frame, Scene, Segmentation
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

MS = 1_000_000


def scene(stamp_ms: int) -> Scene:
    frame = Frame("camera", np.zeros((1, 1, 3), np.uint8), stamp_ns=stamp_ms * MS)
    return Scene(frame, Segmentation.empty((1, 1)), Vocabulary())


def paired(pairing: LidarPairing, stamp_ms: int) -> list[tuple[int, int]]:
    """The stamps of clouds and images, in milliseconds, that the next image pairs."""
    return [
        (cloud.stamp_ns // MS, each.frame.stamp_ns // MS)
        for cloud, each in pairing.add_scene(scene(stamp_ms))
    ]


def add(pairing: LidarPairing, *stamps_ms: int) -> None:
    for stamp_ms in stamps_ms:
        pairing.add_cloud(StampedCloud(stamp_ms * MS, None))


@pytest.mark.parametrize(
    ("cloud", "image"), [(1001, 1000), (1015, 1000), (1020, 1033), (1033, 1033)]
)
def test_a_cloud_between_two_images_goes_with_the_nearer_one(cloud: int, image: int) -> None:
    pairing = LidarPairing()
    assert paired(pairing, 1000) == []
    add(pairing, cloud)
    assert paired(pairing, 1033) == [(cloud, image)]
    assert paired(pairing, 1066) == [], "once"


def test_a_cloud_waits_for_an_image_as_new_as_it_is() -> None:
    pairing = LidarPairing()
    add(pairing, 1050)
    assert paired(pairing, 1000) == []
    assert paired(pairing, 1040) == []
    assert paired(pairing, 1080) == [(1050, 1040)]


@pytest.mark.parametrize(("cloud", "image"), [(1001, 1000), (1060, 1066), (1099, 1100)])
def test_a_cloud_that_arrives_after_its_image_goes_with_it_at_once(cloud: int, image: int) -> None:
    """As from a LiDAR that stamps a turn at its first point."""
    pairing = LidarPairing()
    for stamp_ms in (1000, 1033, 1066, 1100):
        assert paired(pairing, stamp_ms) == []
    pairs = pairing.add_cloud(StampedCloud(cloud * MS, None))
    assert [(each.stamp_ns, nearest.frame.stamp_ns) for each, nearest in pairs] == [
        (cloud * MS, image * MS)
    ]
    assert paired(pairing, 1133) == [], "once"


def test_scenes_are_not_kept_for_long() -> None:
    pairing = LidarPairing()
    first = scene(1000)
    gone = weakref.ref(first)
    pairing.add_scene(first)
    del first
    for stamp_ms in range(1033, 1400, 33):
        pairing.add_scene(scene(stamp_ms))
    assert gone() is None


def test_images_slower_than_the_clouds_get_several() -> None:
    pairing = LidarPairing()
    assert paired(pairing, 1000) == []
    add(pairing, 1010, 1060, 1110, 1190)
    assert paired(pairing, 1200) == [(1010, 1000), (1060, 1000), (1110, 1200), (1190, 1200)]


def test_clouds_too_far_from_every_image_are_counted() -> None:
    pairing = LidarPairing()
    paired(pairing, 1000)
    add(pairing, 1500)
    assert paired(pairing, 2000) == []
    assert pairing.unpaired == 1


def test_clouds_that_no_image_follows_are_bounded_and_counted() -> None:
    pairing = LidarPairing()
    add(pairing, *range(1000, 1000 + 30 * 100, 100))
    assert pairing.unpaired == 10
    assert paired(pairing, 3900) == [(3800, 3900), (3900, 3900)]


def test_stamps_that_jump_back_start_anew() -> None:
    pairing = LidarPairing()
    paired(pairing, 90_000)
    add(pairing, 91_000)
    add(pairing, 1000)
    assert paired(pairing, 1010) == [(1000, 1010)]
    assert pairing.unpaired == 1
