# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Labels for the points of a rendered LiDAR, against what each ray hit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from zs_seg_ros.perception.lidar import LabelledPoints, label_points
from zs_seg_ros.types import Box, DetectedObject, Distortion, Intrinsics, Pose, Segmentation

HEIGHT, WIDTH = 240, 320
PINHOLE = Intrinsics(250.0, 250.0, 160.0, 120.0, WIDTH, HEIGHT)
FLOOR_Y_M, WALL_Z_M = 1.2, 15.0
NOWHERE = np.zeros(3)


class Scene(NamedTuple):
    """Boxes on a floor in front of a wall, in the camera's optical frame. Class ids: floor 1, wall 2, boxes from 3."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


def scene(seed: int) -> Scene:
    random = np.random.default_rng(seed)
    z = random.uniform(3, 11, 8)
    x = random.uniform(-0.6, 0.6, 8) * z
    height, width = random.uniform(0.5, 1.8, 8), random.uniform(0.4, 1.2, 8)
    floor = np.full(8, FLOOR_Y_M)
    return Scene(
        np.stack((x - width / 2, floor - height, z), axis=1),
        np.stack((x + width / 2, floor, z + width), axis=1),
    )


def cast(
    of: Scene, origin: NDArray[np.float64], rays: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """The distance along each ray, infinite for none, and the class that it hits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        surfaces = [
            (FLOOR_Y_M - origin[1]) / rays[:, 1],
            (WALL_Z_M - origin[2]) / rays[:, 2],
        ]
        for low, high in zip(of.low, of.high, strict=True):
            first, second = (low - origin) / rays, (high - origin) / rays
            enter = np.minimum(first, second).max(axis=1)
            leave = np.maximum(first, second).min(axis=1)
            surfaces.append(np.where(enter < leave, enter, np.inf))
    distances = np.stack(surfaces)
    distances[~(distances > 0)] = np.inf
    nearest = distances.argmin(axis=0)
    distance = distances.min(axis=0)
    label = np.where(np.isfinite(distance), nearest + 1, 0).astype(np.uint8)
    return distance, label


def label_image(of: Scene, camera: Intrinsics = PINHOLE) -> NDArray[np.uint8]:
    column, row = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    rays = np.stack(
        (
            (column - camera.cx) / camera.fx,
            (row - camera.cy) / camera.fy,
            np.ones((HEIGHT, WIDTH)),
        ),
        axis=-1,
    )
    return cast(of, NOWHERE, rays.reshape(-1, 3))[1].reshape(HEIGHT, WIDTH)


def scan(
    of: Scene, rings: int, origin: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Points in the LiDAR's frame, whose axes are the camera's, and their classes."""
    elevation = np.deg2rad(np.linspace(-25, 15, rings))
    azimuth, elevation = np.meshgrid(np.deg2rad(np.linspace(-180, 180, 1800)), elevation)
    rays = np.stack(
        (
            np.sin(azimuth) * np.cos(elevation),
            -np.sin(elevation),
            np.cos(azimuth) * np.cos(elevation),
        ),
        axis=-1,
    ).reshape(-1, 3)
    distance, label = cast(of, origin, rays)
    hit = np.isfinite(distance)
    return (rays[hit] * distance[hit, None]).astype(np.float32), label[hit]


def labels_of(
    points: NDArray[np.float32],
    label: NDArray[np.uint8],
    origin: NDArray[np.float64] = NOWHERE,
    camera: Intrinsics = PINHOLE,
    objects: tuple[DetectedObject, ...] = (),
) -> LabelledPoints:
    confidence = np.where(label > 0, 204, 0).astype(np.uint8)
    pose = Pose(np.eye(3), origin)
    return label_points(points, pose, camera, Segmentation(label, confidence), objects)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("rings", "right", "kept"), [(16, 0.965, 0.96), (32, 0.98, 0.96), (64, 0.98, 0.96)]
)
def test_labels_of_a_scan_are_those_of_the_objects_that_it_hit(
    seed: int, rings: int, right: float, kept: float
) -> None:
    of, origin = scene(seed), np.array([0.1, -0.6, -0.2])
    points, truth = scan(of, rings, origin)
    label = label_image(of)
    result = labels_of(points, label, origin)
    labelled = result.label > 0
    assert (result.label[labelled] == truth[labelled]).mean() >= right
    at = points + origin.astype(np.float32)
    column = np.rint(at[:, 0] / at[:, 2] * PINHOLE.fx + PINHOLE.cx)
    row = np.rint(at[:, 1] / at[:, 2] * PINHOLE.fy + PINHOLE.cy)
    inside = (at[:, 2] > 0.05) & (column >= 0) & (column < WIDTH) & (row >= 0) & (row < HEIGHT)
    assert not labelled[~inside].any()
    places = row[inside].astype(int), column[inside].astype(int)
    same = label[places] == truth[inside]
    assert labelled[inside][same].mean() >= kept


def test_points_behind_the_camera_and_outside_of_the_image_are_unlabelled() -> None:
    label = np.full((HEIGHT, WIDTH), 7, np.uint8)
    outside = [(0, 0, -2), (0, 0, 0), (5, 0, 2), (0, -5, 2), (np.nan, 0, 2), (0, 0, np.inf)]
    points = np.array([*outside, (0, 0, 2)], np.float32)
    result = labels_of(points, label)
    assert result.label.tolist() == [0, 0, 0, 0, 0, 0, 7]
    assert result.confidence[-1] == pytest.approx(0.8) and not result.confidence[:-1].any()


def test_a_wall_behind_a_pole_is_hidden_where_the_camera_sees_the_pole() -> None:
    """A LiDAR beside the camera measures the wall that the camera sees covered by the pole."""
    label = np.full((HEIGHT, WIDTH), 1, np.uint8)
    label[:, 140:181] = 2
    columns, rows = np.meshgrid(np.arange(0, WIDTH, 2), np.arange(0, HEIGHT, 4))
    rays = np.stack(
        ((columns - 160) / 250, (rows - 120) / 250, np.ones(columns.shape)), axis=-1
    ).reshape(-1, 3)
    on_pole = (columns.ravel() >= 140) & (columns.ravel() <= 180)
    wall, pole = rays * 8.0, rays[on_pole] * 2.0
    result = labels_of(np.concatenate([wall, pole]).astype(np.float32), label)
    of_wall, of_pole = result.label[: len(wall)], result.label[len(wall) :]
    assert (of_pole == 2).all()
    assert (of_wall[on_pole] == 2).mean() < 0.05
    far_from_pole = (columns.ravel() < 132) | (columns.ravel() > 188)
    assert (of_wall[far_from_pole] == 1).all()


def test_points_get_the_track_id_of_the_object_whose_mask_has_them() -> None:
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    label[100:140, 100:220] = 3
    mask = np.ones((40, 60), np.bool_)
    objects = tuple(
        DetectedObject(3, 0.9, Box(left, 100, 60, 40), mask, track)
        for left, track in ((100, 5), (160, 6))
    )
    x = np.array([-50, 50, 100]) / 250
    points = np.stack((x, np.zeros(3), np.ones(3)), axis=1).astype(np.float32) * 4
    result = labels_of(points, label, objects=objects)
    assert result.label.tolist() == [3, 3, 0]
    assert result.track_id.tolist() == [5, 6, 0]


@pytest.mark.parametrize(
    "distortion",
    [
        Distortion("plumb_bob", (-0.28, 0.07, 0.001, -0.0005, 0.0)),
        Distortion("rational_polynomial", (0.1, -0.05, 0.0, 0.0, 0.01, 0.2, -0.02, 0.0)),
        Distortion("equidistant", (0.02, -0.01, 0.003, 0.0)),
    ],
    ids=lambda distortion: distortion.model,
)
def test_the_distortion_of_the_lens_is_applied(distortion: Distortion) -> None:
    """The pixel of each point is where the lens model itself, written out here, puts it."""
    camera = Intrinsics(250.0, 250.0, 160.0, 120.0, WIDTH, HEIGHT, distortion)
    label = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    random = np.random.default_rng(5)
    x, y = random.uniform(-0.4, 0.4, (2, 500))
    column, row = distorted(distortion, x, y) * 250.0 + np.array([[160.0], [120.0]])
    points = np.stack((x, y, np.ones(500)), axis=1).astype(np.float32) * 3
    columns = labels_of(points, (label % WIDTH % 251 + 1).astype(np.uint8), camera=camera).label
    rows = labels_of(points, (label // WIDTH + 1).astype(np.uint8), camera=camera).label
    clear = (np.abs(column % 1 - 0.5) > 0.02) & (np.abs(row % 1 - 0.5) > 0.02)
    assert clear.sum() > 400
    assert (columns[clear] == np.rint(column[clear]) % 251 + 1).all()
    assert (rows[clear] == np.rint(row[clear]) + 1).all()


def distorted(
    lens: Distortion, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    k = (*lens.coefficients, 0.0, 0.0, 0.0, 0.0)
    r = np.hypot(x, y)
    if lens.model == "equidistant":
        t = np.arctan(r)
        bent = t * (1 + k[0] * t**2 + k[1] * t**4 + k[2] * t**6 + k[3] * t**8) / r
        return np.stack((x * bent, y * bent))
    above = 1 + k[0] * r**2 + k[1] * r**4 + k[4] * r**6
    below = 1 + k[5] * r**2 + k[6] * r**4 + k[7] * r**6
    return np.stack(
        (
            x * above / below + 2 * k[2] * x * y + k[3] * (r**2 + 2 * x**2),
            y * above / below + k[2] * (r**2 + 2 * y**2) + 2 * k[3] * x * y,
        )
    )


def test_no_points_have_no_labels() -> None:
    result = labels_of(np.zeros((0, 3), np.float32), np.zeros((HEIGHT, WIDTH), np.uint8))
    assert result.label.shape == result.confidence.shape == result.track_id.shape == (0,)
