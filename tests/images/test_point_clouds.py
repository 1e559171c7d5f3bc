# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Coordinates out of point clouds of any layout, and labels into them."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("sensor_msgs")

from point_clouds import cloud
from sensor_msgs.msg import PointField

from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.point_clouds import points_from_message, with_labels

PLACES = np.arange(18, dtype=np.float64).reshape(6, 3) - 4


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize(("width", "padding"), [(6, 0), (3, 0), (2, 5), (1, 1)])
@pytest.mark.parametrize(
    ("kind", "offsets", "point_step"),
    [("f4", (0, 4, 8), 12), ("f4", (4, 0, 20), 26), ("f8", (1, 9, 17), 25)],
)
def test_points_of_every_layout_are_read(
    kind: str,
    offsets: tuple[int, int, int],
    point_step: int,
    width: int,
    padding: int,
    big_endian: bool,
) -> None:
    message = cloud(
        PLACES,
        kind=kind,
        offsets=offsets,
        point_step=point_step,
        width=width,
        padding=padding,
        big_endian=big_endian,
    )
    points = points_from_message(message)
    assert points.dtype == np.float32 and (points == PLACES).all()


def test_an_empty_cloud_has_no_points() -> None:
    assert points_from_message(cloud(np.zeros((0, 3)))).shape == (0, 3)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize(("point_step", "start"), [(12, 12), (16, 16), (26, 28), (13, 16)])
def test_labels_are_added_behind_the_bytes_of_each_point(
    point_step: int, start: int, big_endian: bool
) -> None:
    message = cloud(PLACES, point_step=point_step, width=3, padding=7, big_endian=big_endian)
    label = np.arange(6, dtype=np.uint16) * 300
    confidence = np.linspace(0, 1, 6, dtype=np.float32)
    track_id = np.arange(6, dtype=np.uint32) + 4_000_000_000
    labelled = with_labels(message, label, confidence, track_id)
    assert labelled.point_step == start + 12
    points = labelled.data.reshape(6, -1)
    rows = np.frombuffer(message.data, np.uint8).reshape(2, -1)
    original = rows[:, : 3 * point_step].reshape(6, point_step)
    assert (points[:, :point_step] == original).all()
    order = ">" if big_endian else "<"
    kinds = {"label": "u2", "confidence": "f4", "track_id": "u4"}
    expected = {"label": label, "confidence": confidence, "track_id": track_id}
    for field in labelled.added:
        kind = np.dtype(order + kinds[field.name])
        assert field.offset % 2 == 0
        column = points[:, field.offset : field.offset + kind.itemsize].copy().view(kind)[:, 0]
        assert (column == expected[field.name]).all()


def test_a_cloud_without_coordinates_is_refused_with_its_fields() -> None:
    message = cloud(PLACES)
    message.fields = message.fields[:2]
    with pytest.raises(ImageError, match=r"x, y and z .* has 'x', 'y'"):
        points_from_message(message)
    message = cloud(PLACES)
    message.fields[1].datatype = PointField.INT16
    with pytest.raises(ImageError, match="float32 or float64"):
        points_from_message(message)


def test_hostile_names_of_fields_are_shown_in_one_line() -> None:
    message = cloud(PLACES)
    message.fields = [PointField(name="\x1b[31m\n[ERROR]" + "a" * 100_000, datatype=7)]
    with pytest.raises(ImageError) as refusal:
        points_from_message(message)
    assert len(str(refusal.value)) < 400 and str(refusal.value).isprintable()


@given(
    height=st.integers(0, 2**32 - 1),
    width=st.integers(0, 2**32 - 1),
    point_step=st.integers(0, 2**32 - 1),
    row_step=st.integers(0, 2**32 - 1),
    offset=st.integers(0, 2**32 - 1),
    size=st.integers(0, 200),
)
def test_numbers_that_do_not_fit_are_refused_whatever_they_are(
    height: int, width: int, point_step: int, row_step: int, offset: int, size: int
) -> None:
    message = cloud(PLACES)
    message.height, message.width = height, width
    message.point_step, message.row_step = point_step, row_step
    message.fields[2].offset = offset
    message.data = array("B", bytes(size))
    try:
        points = points_from_message(message)
    except ImageError:
        return
    assert points.shape == (height * width, 3)
