# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Images, depth, camera_info and transforms of the shipped bag are consistent, also with the ground truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from zs_seg_ros.bags.bag import Bag

FOLDER = Path(__file__).resolve().parents[2] / "recordings" / "tabletop"
TOPICS = (
    "/camera/camera_info",
    "/camera/depth/image_raw",
    "/camera/ground_truth/instance",
    "/tf",
)
EVERY = 12  # of 240 frames
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame. camera_matrix is K; pose (4, 4) takes the optical frame to `map`."""

    number: int
    camera_matrix: Matrix
    depth_m: Matrix
    instance: NDArray[np.uint8]
    pose: Matrix

    def points_in_map(self) -> Matrix:
        """Return the points of all pixels: (H, W, 3) in m; NaN without depth."""
        rows, columns = np.indices(self.depth_m.shape)
        pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1).astype(float)
        rays = pixels @ np.linalg.inv(self.camera_matrix).T
        depth = np.where(self.depth_m > 0, self.depth_m, np.nan)
        return (rays * depth[..., None]) @ self.pose[:3, :3].T + self.pose[:3, 3]

    def pixel_of(self, point_in_map: Matrix) -> Matrix:
        """Project a point: (column, row)."""
        x, y, z = self.pose[:3, :3].T @ (point_in_map - self.pose[:3, 3])
        projected = self.camera_matrix @ np.array([x, y, z])
        return projected[:2] / projected[2]


def _matrix(transform: Any) -> Matrix:
    """Return the (4, 4) matrix of a geometry_msgs/Transform."""
    q, t = transform.rotation, transform.translation
    x, y, z, w = q.x, q.y, q.z, q.w
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y), t.x],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x), t.y],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y), t.z],
            [0, 0, 0, 1],
        ]
    )


def _frames(bag: Bag) -> Iterator[Frame]:
    (static,) = bag.messages(["/tf_static"])
    (link_to_optical,) = static.content.transforms
    assert (link_to_optical.header.frame_id, link_to_optical.child_frame_id) == (
        "camera_link",
        "camera_color_optical_frame",
    )
    for number, moment in enumerate(zip(*(bag.messages([t]) for t in TOPICS), strict=True)):
        if number % EVERY:
            continue
        info, depth, instance, transforms = (message.content for message in moment)
        (map_to_link,) = transforms.transforms
        assert (map_to_link.header.frame_id, map_to_link.child_frame_id) == ("map", "camera_link")
        yield Frame(
            number,
            info.k.reshape(3, 3),
            depth.data.view(np.uint16).reshape(240, 320) / 1000.0,
            instance.data.reshape(240, 320),
            _matrix(map_to_link.transform) @ _matrix(link_to_optical.transform),
        )


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    with Bag(FOLDER) as bag:
        return list(_frames(bag))


@pytest.fixture(scope="module")
def truth() -> dict[int, Any]:
    """Map each instance to its entry in ground_truth.json."""
    scenes = json.loads((FOLDER / "ground_truth.json").read_text())["scenes"]
    return {entry["instance"]: entry for scene in scenes for entry in scene["things"]}


def test_the_camera_is_an_ideal_pinhole_of_50_degrees() -> None:
    with Bag(FOLDER) as bag:
        for message in bag.messages(["/camera/camera_info"]):
            info = message.content
            focal_px = 120 / np.tan(np.radians(25))
            assert info.k == pytest.approx([focal_px, 0, 160, 0, focal_px, 119, 0, 0, 1])
            assert np.array_equal(info.p.reshape(3, 4)[:, :3], info.k.reshape(3, 3))
            assert np.array_equal(info.r.reshape(3, 3), np.eye(3))
            assert not info.d.any() and info.distortion_model == "plumb_bob"
            assert (info.width, info.height) == (320, 240)


def test_the_table_lies_flat_at_height_zero(frames: list[Frame]) -> None:
    """A wrong focal length, principal point, rotation or depth would tilt or lift it."""
    for frame in frames:
        points = frame.points_in_map()
        on_table = (frame.instance == 0) & (np.abs(points[..., :2]) < 0.55).all(axis=-1)
        heights = points[..., 2][on_table & (points[..., 2] < 0.03)]  # clutter stands on it, too
        assert len(heights) > 2000
        assert np.percentile(heights, [2, 95]) == pytest.approx([0, 0], abs=0.0015)


def test_the_points_of_every_instance_are_inside_its_box_of_the_ground_truth(
    frames: list[Frame], truth: dict[int, Any]
) -> None:
    checked = set()
    for frame in frames:
        points = frame.points_in_map()
        for number in set(np.unique(frame.instance)) - {0}:
            centre = np.array(truth[number]["centre_m"])
            half = np.array(truth[number]["size_m"]) / 2
            outside = np.abs(points[frame.instance == number] - centre) - half
            assert outside.max() < 0.004, (frame.number, number)
            checked.add(int(number))
    assert checked == set(truth)


def test_the_centre_of_a_ball_is_projected_to_the_centre_of_its_mask(
    frames: list[Frame], truth: dict[int, Any]
) -> None:
    """The green ball of the first scene is never occluded and never cut off by the image's border."""
    labels = json.loads((FOLDER / "ground_truth.json").read_text())["labels"]
    (green_ball,) = [entry["id"] for entry in labels if entry["name"] == "green ball"]
    (number,) = [i for i, entry in truth.items() if entry["label"] == green_ball]
    errors = []
    for frame in frames:
        rows, columns = np.nonzero(frame.instance == number)
        if rows.size:
            centre = np.array([columns.mean(), rows.mean()])
            expected = frame.pixel_of(np.array(truth[number]["centre_m"]))
            errors.append(np.abs(centre - expected).max())
    assert len(errors) >= 4
    assert max(errors) < 1.0


def test_depth_is_missing_only_where_the_image_shows_the_sky(frames: list[Frame]) -> None:
    for frame in frames:
        missing = frame.depth_m == 0
        assert not (missing & (frame.instance > 0)).any()
        assert frame.depth_m.max() < 12.0
