# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The buffer of transforms: chains, inverses, interpolation and the limits of its memory."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from zs_seg_ros.perception import transform_buffer
from zs_seg_ros.perception.transform_buffer import Quaternion, Transform, TransformBuffer, slerp
from zs_seg_ros.types import Pose

SECOND = 10**9
NO_ROTATION = (0.0, 0.0, 0.0, 1.0)

lengths = st.floats(-100, 100)
places = st.tuples(lengths, lengths, lengths)
angles = st.tuples(*3 * [st.floats(-math.pi, math.pi)])


def quaternion(angles_xyz: tuple[float, float, float]) -> Quaternion:
    x, y, z, w = Rotation.from_euler("xyz", angles_xyz).as_quat()
    return float(x), float(y), float(z), float(w)


transforms = st.builds(Transform, st.builds(quaternion, angles), places)


def matrix(transform: Transform) -> np.ndarray:
    result = np.eye(4)
    result[:3, :3] = Rotation.from_quat(transform.rotation).as_matrix()
    result[:3, 3] = transform.translation
    return result


def matrix_of(pose: Pose | None) -> np.ndarray:
    assert pose is not None
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = pose.rotation, pose.translation_m
    return result


def at(x: float) -> Transform:
    return Transform(NO_ROTATION, (x, 0.0, 0.0))


@given(transforms, transforms, transforms, transforms)
def test_a_chain_through_the_common_ancestor_is_the_product_of_its_matrices(
    base: Transform, camera: Transform, arm: Transform, tool: Transform
) -> None:
    buffer = TransformBuffer()
    buffer.add("odom", "base", 5, base)
    buffer.add("base", "camera", 0, camera, static=True)
    buffer.add("base", "arm", 5, arm)
    buffer.add("arm", "tool", 0, tool, static=True)
    in_odom = matrix_of(buffer.lookup("odom", "camera", 5).pose)
    np.testing.assert_allclose(in_odom, matrix(base) @ matrix(camera), atol=1e-9)
    in_tool = matrix_of(buffer.lookup("tool", "camera", 5).pose)
    expected = np.linalg.inv(matrix(arm) @ matrix(tool)) @ matrix(camera)
    np.testing.assert_allclose(in_tool, expected, atol=1e-7)


@given(transforms, transforms)
def test_the_way_back_is_the_inverse(base: Transform, camera: Transform) -> None:
    buffer = TransformBuffer()
    buffer.add("odom", "base", 5, base)
    buffer.add("base", "camera", 5, camera)
    there = matrix_of(buffer.lookup("odom", "camera", 5).pose)
    back = matrix_of(buffer.lookup("camera", "odom", 5).pose)
    np.testing.assert_allclose(there @ back, np.eye(4), atol=1e-9)


@given(angles, angles, st.floats(0, 1))
def test_rotations_are_interpolated_as_scipy_does_it(
    before: tuple[float, float, float], after: tuple[float, float, float], share: float
) -> None:
    start, end = quaternion(before), quaternion(after)
    if abs(np.dot(start, end)) < 1e-6:  # half a turn: both ways round are equally short
        return
    expected = Slerp([0, 1], Rotation.from_quat([start, end]))([share])[0]
    difference = Rotation.from_quat(slerp(start, end, share)) * expected.inv()
    assert difference.magnitude() < 1e-6


@given(transforms, transforms, st.integers(0, SECOND))
def test_between_two_stamps_the_translation_is_linear(
    before: Transform, after: Transform, stamp_ns: int
) -> None:
    buffer = TransformBuffer()
    buffer.add("odom", "base", SECOND, after)
    buffer.add("odom", "base", 0, before)  # the order in which they are received does not matter
    pose = buffer.lookup("odom", "base", stamp_ns).pose
    assert pose is not None
    share = stamp_ns / SECOND
    expected = (1 - share) * np.array(before.translation) + share * np.array(after.translation)
    np.testing.assert_allclose(pose.translation_m, expected, atol=1e-9)
    np.testing.assert_allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-9)


def test_a_quarter_of_a_right_angle_is_22_5_degrees() -> None:
    buffer = TransformBuffer()
    buffer.add("odom", "base", 0, Transform(NO_ROTATION, (0, 0, 0)))
    buffer.add("odom", "base", 4, Transform(quaternion((0, 0, math.pi / 2)), (0, 0, 8)))
    pose = buffer.lookup("odom", "base", 1).pose
    assert pose is not None
    np.testing.assert_allclose(pose.rotation[0, 0], math.cos(math.radians(22.5)), atol=1e-12)
    np.testing.assert_allclose(pose.rotation[1, 0], math.sin(math.radians(22.5)), atol=1e-12)
    assert pose.translation_m.tolist() == [0, 0, 2]


def test_a_frame_in_itself_is_at_the_origin() -> None:
    pose = TransformBuffer().lookup("camera", "camera", 5).pose
    assert (matrix_of(pose) == np.eye(4)).all()


def test_a_slash_in_front_of_a_name_makes_no_difference() -> None:
    buffer = TransformBuffer()
    buffer.add("/odom", "/base", 5, at(3))
    assert buffer.lookup("odom", "/base", 5).pose is not None


def test_the_reason_says_what_is_missing() -> None:
    buffer = TransformBuffer()
    buffer.add("odom", "base", 2 * SECOND, at(0))
    buffer.add("odom", "base", 3 * SECOND, at(1))
    buffer.add("door", "camera", 3 * SECOND, at(1))
    for target, source, stamp_ns, reason in (
        ("map", "base", 2, "there is no frame 'map' on /tf"),
        ("odom", "lidar", 2, "there is no frame 'lidar' on /tf"),
        ("odom", "camera", 2, "the frames 'camera' and 'odom' are not connected on /tf"),
        ("odom", "base", 3_250_000_000,
         "the newest transform from 'base' to 'odom' is 250 ms older than the image"),
        ("odom", "base", 1_900_000_000,
         "the oldest transform from 'base' to 'odom' is 100 ms newer than the image"),
    ):  # fmt: skip
        lookup = buffer.lookup(target, source, stamp_ns)
        assert lookup.pose is None
        assert lookup.reason == reason


def test_what_is_older_than_the_history_is_forgotten() -> None:
    buffer = TransformBuffer()
    for second in range(15):
        buffer.add("odom", "base", second * SECOND, at(second))
    assert buffer.lookup("odom", "base", 4 * SECOND).pose is not None
    assert buffer.lookup("odom", "base", 4 * SECOND - 1).pose is None


def test_the_number_of_samples_and_frames_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transform_buffer, "MOST_SAMPLES", 3)
    monkeypatch.setattr(transform_buffer, "MOST_FRAMES", 2)
    buffer = TransformBuffer()
    for stamp_ns in range(5):
        buffer.add("odom", "base", stamp_ns, at(stamp_ns))
    assert buffer.lookup("odom", "base", 1).pose is None
    assert buffer.lookup("odom", "base", 2).pose is not None
    buffer.add("base", "second", 3, at(0))
    buffer.add("base", "third", 3, at(0))
    assert buffer.lookup("base", "second", 3).pose is not None
    assert buffer.lookup("base", "third", 3).pose is None
    assert "more than 2 frames" in buffer.refused


def test_time_that_jumps_back_clears_all_but_what_is_static() -> None:
    buffer = TransformBuffer()
    buffer.add("base", "camera", 0, at(1), static=True)
    buffer.add("odom", "base", 50 * SECOND, at(2))
    buffer.add("base", "arm", 50 * SECOND, at(3))
    buffer.add("odom", "base", 45 * SECOND, at(7))
    assert "no frame 'arm'" in buffer.lookup("odom", "arm", 50 * SECOND).reason
    pose = buffer.lookup("odom", "camera", 45 * SECOND).pose
    assert pose is not None and pose.translation_m[0] == 8


def test_a_transform_that_is_a_little_late_is_stored_in_its_place() -> None:
    buffer = TransformBuffer()
    for stamp_ns in (1, 3, 2):
        buffer.add("odom", "base", stamp_ns * SECOND // 10, at(stamp_ns))
    pose = buffer.lookup("odom", "base", SECOND // 4).pose
    assert pose is not None
    np.testing.assert_allclose(pose.translation_m[0], 2.5)


def test_a_frame_that_gets_another_parent_leaves_the_first_one() -> None:
    buffer = TransformBuffer()
    buffer.add("base", "cup", 1, at(1))
    buffer.add("hand", "cup", 2, at(2))
    assert buffer.lookup("hand", "cup", 2).pose is not None
    assert buffer.lookup("base", "cup", 2).pose is None


def test_a_circle_ends() -> None:
    buffer = TransformBuffer()
    buffer.add("a", "b", 1, at(1))
    buffer.add("b", "a", 1, at(1))
    assert buffer.lookup("a", "c", 1).pose is None


@pytest.mark.parametrize(
    ("transform", "reason"),
    [
        (Transform((0, 0, 0, 0), (0, 0, 0)), "norm 0, not 1"),
        (Transform((0, 0, 0, 2), (0, 0, 0)), "norm 2, not 1"),
        (Transform((0, math.nan, 0, 1), (0, 0, 0)), "not finite"),
        (Transform(NO_ROTATION, (0, math.inf, 0)), "not finite"),
    ],
)
def test_numbers_that_are_no_transform_are_refused(transform: Transform, reason: str) -> None:
    buffer = TransformBuffer()
    buffer.add("odom", "base", 1, transform)
    assert buffer.lookup("odom", "base", 1).pose is None
    assert reason in buffer.refused


@pytest.mark.parametrize(("parent", "child"), [("", "a"), ("a", ""), ("a", "/a"), ("/", "b")])
def test_names_that_are_no_pair_of_frames_are_refused(parent: str, child: str) -> None:
    buffer = TransformBuffer()
    buffer.add(parent, child, 1, at(1))
    assert "no name" in buffer.refused
