# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Results that are carried by depth and the camera's pose, and by optical flow where something moves by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from walls import CLASS_ID, INTRINSICS, SIZE, Walls, iou, pose, segmentation

from zs_seg_ros.kernels import compiled_kernels
from zs_seg_ros.perception import geometry
from zs_seg_ros.perception.geometry import by_geometry
from zs_seg_ros.perception.optical_flow import Motion
from zs_seg_ros.perception.propagation import Mode, Propagator
from zs_seg_ros.perception.reprojection import View, reprojected
from zs_seg_ros.types import DepthImage, Distortion, Frame, Intrinsics, Pose

pytestmark = pytest.mark.usefixtures("with_and_without_kernels")

BESIDE = [pose(x=0.02 * number) for number in range(6)]
TURNING = [pose(turn_deg=1.5 * number) for number in range(6)]
NEARER = [pose(z=0.05 * number, x=0.01 * number) for number in range(6)]


def carried_label(frames: list[Frame], label: NDArray[np.uint8], mode: Mode) -> NDArray[Any]:
    """Carry a label image of the first frame to the last."""
    propagator = Propagator()
    for frame in frames:
        propagator.observe(frame)
    propagator.update(frames[0], segmentation(label))
    carried = propagator.carried(mode)
    assert carried is not None
    confidence = carried.segmentation.confidence
    assert np.array_equal(confidence > 0, carried.segmentation.label > 0)
    return carried.segmentation.label


def filmed(walls: Walls, poses: list[Pose], **others: Any) -> tuple[list[Frame], list[Any]]:
    pairs = [walls.frame(number, each, **others) for number, each in enumerate(poses)]
    return [frame for frame, _ in pairs], [label for _, label in pairs]


@pytest.mark.parametrize("poses", [BESIDE, TURNING, NEARER], ids=["beside", "turning", "nearer"])
def test_masks_follow_the_camera(poses: list[Pose]) -> None:
    frames, labels = filmed(Walls(), poses)
    assert iou(carried_label(frames, labels[0], "auto"), labels[-1]) > 0.95


@pytest.mark.parametrize("poses", [BESIDE, TURNING, NEARER], ids=["beside", "turning", "nearer"])
def test_blank_walls_carry_masks_by_depth(poses: list[Pose]) -> None:
    frames, labels = filmed(Walls(blank=True), poses)
    assert iou(carried_label(frames, labels[0], "auto"), labels[-1]) > 0.9


def test_what_was_hidden_gets_no_label_of_what_hid_it() -> None:
    frames, labels = filmed(Walls(), [pose(x=0.04 * number) for number in range(6)])
    carried = carried_label(frames, labels[0], "auto")
    assert np.count_nonzero((carried == CLASS_ID) & (labels[-1] == 0)) < 0.03 * np.count_nonzero(
        labels[-1]
    )


def test_what_moves_by_itself_is_followed_by_flow() -> None:
    walls = Walls(board_m=1.2)
    pairs = [walls.frame(number, pose(), x_m=0.025 * number) for number in range(7)]
    carried = carried_label([frame for frame, _ in pairs], pairs[0][1], "auto")
    assert iou(pairs[0][1], pairs[-1][1]) < 0.6
    assert iou(carried, pairs[-1][1]) > 0.8


@pytest.mark.parametrize(
    "claimed", [pose(x=0.2), pose(turn_deg=6), pose(y=-0.15, turn_deg=-3)], ids=str
)
def test_a_wrong_pose_is_noticed(claimed: Pose) -> None:
    frames, labels = filmed(Walls(), BESIDE)
    frames[-1] = replace(frames[-1], pose=claimed)
    by_flow = carried_label(frames, labels[0], "flow")
    assert np.array_equal(carried_label(frames, labels[0], "auto"), by_flow)
    assert iou(by_flow, labels[-1]) > 0.85


def without_pose(frame: Frame) -> Frame:
    return replace(frame, pose=None)


def without_depth(frame: Frame) -> Frame:
    return replace(frame, depth=None)


def with_nonsense(frame: Frame) -> Frame:
    return replace(frame, pose=Pose(np.full((3, 3), np.nan), np.zeros(3)))


def with_scaled_rotation(frame: Frame) -> Frame:
    return replace(frame, pose=Pose(2 * np.eye(3), np.zeros(3)))


def with_other_camera_info(frame: Frame) -> Frame:
    assert frame.depth is not None
    other = replace(INTRINSICS, width=33)
    return replace(frame, depth=replace(frame.depth, intrinsics=other))


def with_other_depth(frame: Frame) -> Frame:
    depth = DepthImage(np.ones((7, 5), np.float32), INTRINSICS)
    return replace(frame, depth=depth)


@pytest.mark.parametrize("which", [0, -1], ids=["the model's frame", "the newest frame"])
@pytest.mark.parametrize(
    "spoilt",
    [
        without_pose,
        without_depth,
        with_nonsense,
        with_scaled_rotation,
        with_other_camera_info,
        with_other_depth,
    ],
)
def test_without_usable_depth_and_pose_flow_carries_the_frame(spoilt: Any, which: int) -> None:
    frames, labels = filmed(Walls(), BESIDE)
    frames[which] = spoilt(frames[which])
    by_flow = carried_label(frames, labels[0], "flow")
    assert np.array_equal(carried_label(frames, labels[0], "auto"), by_flow)


def test_pixels_without_depth_are_carried_by_flow() -> None:
    frames, labels = filmed(Walls(), BESIDE)
    for number in (0, -1):
        depth = frames[number].depth
        assert depth is not None
        values = depth.values.copy()
        values[:, 60:80] = np.nan
        frames[number] = replace(frames[number], depth=replace(depth, values=values))
    assert iou(carried_label(frames, labels[0], "auto"), labels[-1]) > 0.85


def test_depth_in_millimetres_and_of_half_the_size_serves_too() -> None:
    frames, labels = filmed(Walls(blank=True), BESIDE)
    for number, frame in enumerate(frames):
        assert frame.depth is not None
        millimetres = np.round(frame.depth.values[::2, ::2] * 1000).astype(np.uint16)
        frames[number] = replace(frame, depth=replace(frame.depth, values=millimetres))
    assert iou(carried_label(frames, labels[0], "auto"), labels[-1]) > 0.85


@pytest.mark.parametrize(
    "distortion",
    [
        None,
        Distortion("plumb_bob", (-0.25, 0.06, 0.001, -0.002, 0.0)),
        Distortion("equidistant", (0.02, -0.01, 0.0, 0.0)),
    ],
    ids=["pinhole", "plumb_bob", "fisheye"],
)
def test_places_are_those_of_the_projected_points(distortion: Distortion | None) -> None:
    intrinsics = replace(INTRINSICS, distortion=distortion)
    depth = DepthImage(np.full(SIZE, 1.5, np.float32), intrinsics)
    older_pose, newer_pose = pose(x=0.03, turn_deg=-2), pose(x=0.1, z=0.05, turn_deg=2)
    image = np.zeros((*SIZE, 3), np.uint8)
    views = [
        View.of(Frame("camera", image, depth=depth, pose=each)) for each in (older_pose, newer_pose)
    ]
    assert views[0] is not None and views[1] is not None
    places = reprojected(views[1], views[0])
    for row, column in ((60, 80), (30, 100), (90, 50)):
        point = 1.5 * ray_of(column, row, distortion)
        world = newer_pose.rotation @ point + newer_pose.translation_m
        there = older_pose.rotation.T @ (world - older_pose.translation_m)
        assert places.depth_m[row, column] == pytest.approx(there[2], abs=1e-4)
        assert (places.x[row, column], places.y[row, column]) == pytest.approx(
            projected(there, distortion), abs=0.05
        )


MATRIX = np.array([[INTRINSICS.fx, 0, INTRINSICS.cx], [0, INTRINSICS.fy, INTRINSICS.cy], [0, 0, 1]])


def ray_of(x: int, y: int, distortion: Distortion | None) -> NDArray[np.float64]:
    pixel = np.array([[[float(x), float(y)]]])
    if distortion is None:
        ray = cv2.undistortPoints(pixel, MATRIX, None)
    elif distortion.model == "equidistant":
        ray = cv2.fisheye.undistortPoints(pixel, MATRIX, np.array(distortion.coefficients))
    else:
        ray = cv2.undistortPoints(pixel, MATRIX, np.array(distortion.coefficients))
    return np.append(ray.ravel(), 1.0)


def projected(point: NDArray[np.float64], distortion: Distortion | None) -> tuple[float, float]:
    points, still = point.reshape(1, 1, 3), np.zeros(3)
    if distortion is None:
        pixels, _ = cv2.projectPoints(points, still, still, MATRIX, None)
    elif distortion.model == "equidistant":
        coefficients = np.array(distortion.coefficients)
        pixels, _ = cv2.fisheye.projectPoints(points, still, still, MATRIX, coefficients)
    else:
        pixels, _ = cv2.projectPoints(
            points, still, still, MATRIX, np.array(distortion.coefficients)
        )
    x, y = pixels.ravel()
    return float(x), float(y)


@pytest.mark.parametrize("seed", range(8))
def test_compiled_motion_is_that_of_python_to_the_bit(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compiled_kernels() is None:
        pytest.skip("the functions of src/ are not built")
    random = np.random.default_rng(seed)
    height, width = random.integers(9, 90, 2).tolist()
    camera = Intrinsics(0.9 * width, 0.8 * width, 0.4 * width, 0.6 * height, width, height)

    def view(shift: float) -> View:
        depth_m = random.uniform(0.5, 0.6, (height, width)).astype(np.float32)
        depth_m[random.random((height, width)) < 0.1] = 0
        depth_m[-1, -1] = 1e-3
        return View(depth_m, camera, pose(x=shift, z=-shift, turn_deg=20 * shift))

    newer, older = view(0.1), view(0.0)
    flow = Motion(
        *(random.normal(0, 2, (2, height, width)).astype(np.float32)),
        random.choice([0, 100, 255], (height, width)).astype(np.uint8),
    )
    compiled = by_geometry(newer, older, flow)
    assert 0 < np.count_nonzero(compiled.agrees) < np.count_nonzero(compiled.measured)
    monkeypatch.setattr(geometry, "compiled_kernels", lambda: None)
    in_python = by_geometry(newer, older, flow)
    for of_both in (
        (compiled.agrees, in_python.agrees),
        (compiled.measured, in_python.measured),
        (compiled.motion.trust, in_python.motion.trust),
        (compiled.motion.x, in_python.motion.x),
        (compiled.motion.y, in_python.motion.y),
    ):
        np.testing.assert_array_equal(*of_both)
