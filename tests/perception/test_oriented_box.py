# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Boxes along the principal axes of point sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from zs_seg_ros.perception.oriented_box import FEWEST_POINTS, oriented_box

SIZE_M = np.array([0.30, 0.12, 0.05])
ANGLES = st.floats(-3.1, 3.1)


def block(rotation: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float32]:
    """Points that fill a block of SIZE_M evenly."""
    axis = np.linspace(-0.5, 0.5, 15)
    points = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3) * SIZE_M
    return (points @ rotation.T + centre).astype(np.float32)


def turned(roll: float, pitch: float, yaw: float) -> NDArray[np.float64]:
    (sr, cr), (sp, cp), (sy, cy) = ((np.sin(a), np.cos(a)) for a in (roll, pitch, yaw))
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


@given(roll=ANGLES, pitch=ANGLES, yaw=ANGLES, distance=st.floats(0.3, 10))
def test_a_turned_block_has_its_own_box(
    roll: float, pitch: float, yaw: float, distance: float
) -> None:
    rotation, centre = turned(roll, pitch, yaw), np.array([0.2, -0.1, distance])
    box = oriented_box(block(rotation, centre))
    assert box is not None
    assert box.centre_m == pytest.approx(centre, abs=1e-3)
    assert box.size_m == pytest.approx(SIZE_M, rel=0.02)
    assert np.abs((box.rotation * rotation).sum(axis=0)) == pytest.approx(np.ones(3), abs=1e-3)
    assert np.linalg.det(box.rotation) == pytest.approx(1.0)
    assert box.rotation[2, 2] <= 1e-9, "the third axis points towards the camera"


def test_single_points_far_away_do_not_enlarge_the_box() -> None:
    points = block(np.eye(3), np.array([0.0, 0.0, 1.0]))
    far = points[:5] + np.array([0.0, 0.0, 0.04], np.float32)
    box = oriented_box(np.concatenate([points, far]))
    assert box is not None and box.size_m == pytest.approx(SIZE_M, rel=0.05)


def test_too_few_points_have_no_box() -> None:
    points = np.random.default_rng(1).random((FEWEST_POINTS, 3)).astype(np.float32)
    assert oriented_box(points) is not None
    assert oriented_box(points[:-1]) is None
    assert oriented_box(np.zeros((0, 3), np.float32)) is None


def test_points_on_one_spot_or_line_have_a_box_without_extent() -> None:
    spot = oriented_box(np.ones((20, 3), np.float32))
    assert spot is not None and spot.size_m == pytest.approx(np.zeros(3), abs=1e-6)
    line = np.zeros((50, 3), np.float32)
    line[:, 1] = np.linspace(0, 2, 50)
    box = oriented_box(line)
    assert box is not None and box.size_m[0] == pytest.approx(2.0, rel=0.02)
    assert np.linalg.det(box.rotation) == pytest.approx(1.0)
