# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The places of the points of a newer image in an older one, computed from depth and camera poses.

What does not move in the fixed frame is found exactly, whatever the camera did. Whether a point did not move, and was
visible in the older image, is known from the older image's depth at its place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import ImageError
from zs_seg_ros.perception.camera_rays import rays_of
from zs_seg_ros.perception.depth import (
    Depth,
    check_sizes,
    depth_in_metres,
    depth_of_image_size,
)
from zs_seg_ros.perception.warping import Plane, sample
from zs_seg_ros.types import Frame, Intrinsics, Pose, size_of

# Chosen by measurement; see docs/decisions/0009-propagation.md.
_POINTS = 240 * 180
TOLERANCE = 0.025
_NEAREST_M = 0.01
_LENS_ZOOM = 0.5
_RIGID = 1e-3


@dataclass(frozen=True, eq=False)
class View:
    """What a camera measured from where, in every n-th row and column of its image.

    depth_m: (h, w) float32 metres, 0 where nothing was measured; for 640x480 n is 3.
    intrinsics: of these points, as if they were the image.
    """

    depth_m: Depth
    intrinsics: Intrinsics
    pose: Pose

    @classmethod
    def of(cls, frame: Frame) -> View | None:
        """Return the view of a frame; None without a pose, or without depth that fits the image."""
        if frame.depth is None or frame.pose is None or not _is_rigid(frame.pose):
            return None
        size, intrinsics = size_of(frame.image), frame.depth.intrinsics
        values = depth_of_image_size(cast(Depth, frame.depth.values), size)
        step = _step(size)
        try:
            check_sizes(size, values, intrinsics)
            depth_m = depth_in_metres(
                values[(step - 1) // 2 :: step, (step - 1) // 2 :: step], frame.depth.unit_m
            )
        except ImageError:
            return None
        cv2.patchNaNs(depth_m, 0.0)
        depth_m = np.asarray(cv2.medianBlur(depth_m, 3), np.float32)  # noise, and holes of a pixel
        return cls(depth_m, _of_every(step, intrinsics, depth_m), frame.pose)


def _step(size: tuple[int, int]) -> int:
    """Return an odd number: only then there is a row in the middle of each `step` rows, and edges stay in place."""
    return 2 * int(math.sqrt(size[0] * size[1] / _POINTS) / 2) + 1


def _of_every(step: int, intrinsics: Intrinsics, depth_m: Depth) -> Intrinsics:
    """Return the intrinsics for every n-th row and column, from the middle of the first `step`."""
    start, (height, width) = (step - 1) // 2, depth_m.shape
    return replace(
        intrinsics,
        fx=intrinsics.fx / step,
        fy=intrinsics.fy / step,
        cx=(intrinsics.cx - start) / step,
        cy=(intrinsics.cy - start) / step,
        width=width,
        height=height,
    )


@dataclass(frozen=True, eq=False)
class Reprojection:
    """Where points of a newer image are in an older one, unless they move.

    x and y: (h, w) float32, in pixels of the older image. depth_m: (h, w) float32, the depth that they would have
    there, 0 where it is unknown. agrees: (h, w) bool, whether the older image has this depth there.
    """

    x: Plane
    y: Plane
    depth_m: Depth
    agrees: NDArray[np.bool_]


def reprojected(newer: View, older: View) -> Reprojection:
    """Return the places of the points of `newer` in the image of `older`."""
    turn, shift = projection(newer, older)
    ray_x, ray_y = rays_of(newer.intrinsics)
    x, y, depth_m = (
        _line(a * ray_x, b * ray_y + c, newer.depth_m, d)
        for (a, b, c), d in zip(turn, shift, strict=True)
    )
    depth_m = np.where((depth_m > _NEAREST_M) & (newer.depth_m > 0), depth_m, np.float32(0))
    inverse = 1 / np.maximum(depth_m, np.float32(_NEAREST_M))
    x *= inverse
    y *= inverse
    for plane in (x, y):
        cv2.patchNaNs(plane, -1.0)  # of pixels without a ray, in the corners of a fisheye image
    x, y = _distorted(x, y, older.intrinsics)
    # Where the older image has no depth, the difference is the whole depth.
    difference_m = np.asarray(cv2.absdiff(depth_at(older, x, y), depth_m), np.float32)
    agrees = (difference_m <= np.float32(TOLERANCE) * depth_m) & (depth_m > 0)
    return Reprojection(x, y, depth_m, agrees)


def projection(newer: View, older: View) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return turn (3, 3) and shift (3,), which lead from a ray of `newer` to a place in `older`.

    The turned ray times its depth, shifted, is the place times the depth there, and that depth. For lenses that distort
    the place is that of an ideal camera.
    """
    rotation, translation = _relative(newer.pose, older.pose)
    matrix = _matrix(older.intrinsics)
    return (matrix @ rotation).astype(np.float32), (matrix @ translation).astype(np.float32)


def _line(across: Plane, down: Plane, depth_m: Depth, shift: np.float32) -> Plane:
    """Return (across + down) * depth_m + shift, in one plane of memory."""
    plane: Plane = across + down
    plane *= depth_m
    plane += shift
    return plane


def depth_at(older: View, x: Plane, y: Plane) -> Depth:
    """Return the depth of `older` at the places `x` and `y`, in metres; 0 where it is unknown, and outside."""
    return sample(older.depth_m, x, y, smooth=False, replicate=False)


def _is_rigid(pose: Pose) -> bool:
    """Return whether a pose holds finite numbers and a rotation."""
    rotation = pose.rotation
    return bool(
        np.isfinite(pose.translation_m).all()
        and np.abs(rotation @ rotation.T - np.eye(3)).max() <= _RIGID
        and np.linalg.det(rotation) > 0
    )


def _relative(newer: Pose, older: Pose) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rotation and translation from the newer optical frame to the older one."""
    back = older.rotation.T
    return back @ newer.rotation, back @ (newer.translation_m - older.translation_m)


def _matrix(intrinsics: Intrinsics) -> NDArray[np.float64]:
    """Return the camera's matrix (3, 3); for a lens that distorts, that of an ideal camera with a wider view."""
    zoom = 1.0 if intrinsics.distortion is None else _LENS_ZOOM
    fx, fy, cx, cy = intrinsics.fx * zoom, intrinsics.fy * zoom, intrinsics.cx, intrinsics.cy
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def _distorted(x: Plane, y: Plane, intrinsics: Intrinsics) -> tuple[Plane, Plane]:
    """Return the pixels of the camera from those of the ideal one, far outside where the latter has none."""
    if intrinsics.distortion is None:
        return x, y
    lens_x, lens_y = _lens(intrinsics)
    # The border's value, 0, would be a pixel of the image: the maps hold places plus one.
    there = (sample(lens, x, y, smooth=True, replicate=False) - 1 for lens in (lens_x, lens_y))
    there_x, there_y = there
    return there_x, there_y


@lru_cache(maxsize=4)
def _lens(intrinsics: Intrinsics) -> tuple[Plane, Plane]:
    """Return for each pixel of the ideal camera of `_matrix` x and y of the camera's pixel, plus one."""
    distortion = intrinsics.distortion
    assert distortion is not None
    real = np.array(
        [[intrinsics.fx, 0, intrinsics.cx], [0, intrinsics.fy, intrinsics.cy], [0, 0, 1]]
    )
    ideal, coefficients = _matrix(intrinsics), np.array(distortion.coefficients)
    size = intrinsics.width, intrinsics.height
    make = (
        cv2.fisheye.initUndistortRectifyMap
        if distortion.model == "equidistant"
        else cv2.initUndistortRectifyMap
    )
    x, y = make(real, coefficients, np.eye(3), ideal, size, cv2.CV_32FC1)
    return np.asarray(x, np.float32) + 1, np.asarray(y, np.float32) + 1
