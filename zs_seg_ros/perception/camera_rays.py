# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The ray of each pixel of a camera, with its lens's distortion undone."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import Distortion, Intrinsics

_FARTHEST_OFF_PX = 1.0  # a ray from its pixel, both as the lens model shows them


class Rays(NamedTuple):
    """The x and y, in metres, of the point at one metre of depth that a pixel shows.

    x: (1, W), or (H, W) where a lens distorts the image; y: (H, 1), or (H, W). Both are NaN where the lens model shows
    no point in front of the camera, as in the corners of a fisheye image.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]


@lru_cache(maxsize=8)
def rays_of(intrinsics: Intrinsics) -> Rays:
    """Return the rays of all pixels of a camera; they are cached and must not be changed."""
    if intrinsics.distortion is not None:
        return _undistorted_rays(intrinsics, intrinsics.distortion)
    x = (np.arange(intrinsics.width) - intrinsics.cx) / intrinsics.fx
    y = (np.arange(intrinsics.height) - intrinsics.cy) / intrinsics.fy
    return Rays(x.astype(np.float32)[None], y.astype(np.float32)[:, None])


def _undistorted_rays(intrinsics: Intrinsics, distortion: Distortion) -> Rays:
    """Undo the distortion for every pixel, by OpenCV's iterative inversion of its lens models.

    The inversion does not converge where the polynomial of a model has no inverse; a ray counts only when the model
    maps it back onto its pixel.
    """
    height, width = intrinsics.height, intrinsics.width
    matrix = np.array(
        [[intrinsics.fx, 0, intrinsics.cx], [0, intrinsics.fy, intrinsics.cy], [0, 0, 1]], float
    )
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    points = pixels.reshape(-1, 1, 2).astype(np.float64)
    coefficients = np.array(distortion.coefficients)
    if distortion.model == "equidistant":
        rays = cv2.fisheye.undistortPoints(points, matrix, coefficients)
    else:
        unchanged = np.eye(3)
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-9)
        rays = cv2.undistortPointsIter(points, matrix, coefficients, unchanged, unchanged, criteria)
    if distortion.model == "equidistant":
        projected = cv2.fisheye.distortPoints(rays, matrix, coefficients)
    else:
        projected = _distorted(rays, coefficients) * (intrinsics.fx, intrinsics.fy)
        projected += (intrinsics.cx, intrinsics.cy)
    distance = np.linalg.norm(projected - points, axis=2)
    rays[~(distance <= _FARTHEST_OFF_PX)] = np.nan
    x, y = np.moveaxis(rays.reshape(height, width, 2).astype(np.float32), 2, 0)
    return Rays(np.ascontiguousarray(x), np.ascontiguousarray(y))


def _distorted(rays: NDArray[Any], coefficients: NDArray[np.float64]) -> NDArray[Any]:
    """Apply OpenCV's polynomial model to (N, 1, 2) points at one metre: where the lens shows them.

    cv2.projectPoints serves for tilted sensors alone: its derivatives take six times as long and 400 bytes a point.
    """
    if coefficients[12:].any():
        ahead = np.concatenate([rays, np.ones((len(rays), 1, 1))], axis=2)
        shown: NDArray[Any] = cv2.projectPoints(
            ahead, np.zeros(3), np.zeros(3), np.eye(3), coefficients
        )[0]
        return shown
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4 = np.pad(
        coefficients[:12], (0, 12 - len(coefficients[:12]))
    )
    x, y = rays[..., 0], rays[..., 1]
    r2 = x * x + y * y
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    across = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + r2 * (s1 + r2 * s2)
    down = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y + r2 * (s3 + r2 * s4)
    return np.stack([across, down], axis=-1)
