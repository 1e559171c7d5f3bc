# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Post-processing in 3-D: masks, depth and intrinsics → positions and 3-D bounding boxes.

Coordinates are those of the camera's optical frame: x right, y down, z forward (REP 103), in metres. Where camera_info
has distortion coefficients, the image is assumed to be unrectified, and the distortion is undone.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import ImageError
from zs_seg_ros.perception.camera_rays import rays_of
from zs_seg_ros.perception.depth import Depth, check_sizes
from zs_seg_ros.types import (
    Box,
    DetectedObject,
    Intrinsics,
    Pose,
    VisibleSurface,
)

FEWEST_POINTS = 10
"""With fewer measured pixels an object has no position."""

_ENOUGH_POINTS = 2048
_ENOUGH_FOR_MEDIAN = 512
"""Only every n-th row and column of larger masks is used: all of them would take much longer, and change the centre by
half a pixel and the size by some per cent."""

# Chosen by measurement on the shipped recording: with masks of the model, with true masks grown and shrunk by up
# to 3 pixels, with and without noise, holes and mixed depths along edges; see benchmarks/positions.py.
_RIM = np.ones((5, 5), np.uint8)  # 2 pixels
_DEVIATIONS = 3.0
_SHARE_OF_WIDTH = 0.75
_OUTLIERS = 0.0025
_NORMAL = 1.4826  # a normal distribution's standard deviation in median absolute deviations


def surface_of(
    detected: DetectedObject,
    depth_m: Depth,
    intrinsics: Intrinsics,
    camera_pose: Pose | None = None,
) -> VisibleSurface | None:
    """Return the position and 3-D bounding box of the visible surface of a detection; None with too little depth.

    The centre is the mean of the points that its pixels show, the box their extent along x, y and z, so the centre
    need not be the middle of the box. Both estimate what the true mask would give: some pixels too many or too few,
    holes in the depth and depths mixed along edges change them little. The box leaves out the 0.25 % outermost points
    on either side.

    Points behind or in front of the object are outliers in depth, more than three deviations from the median (Leys et
    al., "Detecting outliers: Do not use standard deviation around the mean, use absolute deviation around the
    median", 2013). Median and deviation come from the mask without its rim. An object can show a large flat side and a
    small one that extends in depth: points within three quarters of its width of the median are no outliers.

    Raises ImageError when `depth_m` and `intrinsics` differ in size, or the bounding box is not within them. That they
    fit the image is for the caller to check, with `check_sizes`. camera_pose: of the camera in the frame of the result;
    None: the camera's optical frame.
    """
    sample = _sample(detected.box, detected.area)
    points = _points_of(detected, depth_m, intrinsics, sample, detected.mask)
    if points is None:
        return None
    return _surface(points if camera_pose is None else moved(points, camera_pose))


def moved(points: NDArray[np.float32], pose: Pose) -> NDArray[np.float32]:
    """Return points (3, N) of the camera's optical frame in the frame that its pose is in."""
    rotation, translation = pose.rotation.astype(np.float32), pose.translation_m.astype(np.float32)
    result: NDArray[np.float32] = rotation @ points + translation[:, None]
    return result


def points_of(
    detected: DetectedObject, depth_m: Depth, intrinsics: Intrinsics
) -> NDArray[np.float32]:
    """Return (N, 3) float32: the points of the visible surface of a detection, in metres, in the order of its pixels.

    The rim of the mask, where depths are mixed, and outliers in depth, as in `surface_of`, are left out. N is 0 where
    too little depth was measured. Raises ImageError as `surface_of` does.
    """
    everything = (slice(None), slice(None))
    core = _without_rim(detected.mask, detected.area)
    points = _points_of(detected, depth_m, intrinsics, everything, core)
    return np.zeros((0, 3), np.float32) if points is None else np.ascontiguousarray(points.T)


def _points_of(
    detected: DetectedObject,
    depth_m: Depth,
    intrinsics: Intrinsics,
    sample: tuple[slice, slice],
    mask: NDArray[np.bool_],
) -> NDArray[np.float32] | None:
    """Return (3, N) float32: the points at the pixels of `mask` that `sample` selects; None with too little depth."""
    box, rays = detected.box, rays_of(intrinsics)
    check_sizes((intrinsics.height, intrinsics.width), depth_m, intrinsics)
    rows, columns = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
    if rows.stop > intrinsics.height or columns.stop > intrinsics.width:
        raise ImageError(
            f"an object in {box} lies outside of a depth image of {intrinsics.width}x{intrinsics.height}: "
            "have the depth registered to the colour image"
        )
    area = detected.area
    depth = depth_m[rows, columns][sample]
    width_on_1m = math.sqrt(area / (intrinsics.fx * intrinsics.fy))
    depths = _depths_of_object(depth[_without_rim(detected.mask, area)[sample]], width_on_1m)
    if depths is None:
        return None
    nearest, farthest = depths
    row, column = np.nonzero(mask[sample] & (depth >= nearest) & (depth <= farthest))
    z = depth[row, column]
    x, y = (
        np.broadcast_to(ray, depth_m.shape)[rows, columns][sample][row, column] * z for ray in rays
    )
    points: NDArray[np.float32] = np.stack((x, y, z))
    if intrinsics.distortion is not None:
        points = points[:, np.isfinite(x)]
    return points if points.shape[1] else None


def _sample(box: Box, area: int) -> tuple[slice, slice]:
    """Select every n-th row and column of a box, leaving out as many at one end as at the other."""
    step = 1 + math.isqrt(area // (_ENOUGH_POINTS + 1))
    top, left = (box.height - 1) % step // 2, (box.width - 1) % step // 2
    return slice(top, None, step), slice(left, None, step)


def _without_rim(mask: NDArray[np.bool_], area: int) -> NDArray[np.bool_]:
    """Return the mask eroded by 2 pixels, or all of it when little would be left."""
    pixels = mask.view(np.uint8)
    core = cv2.erode(pixels, _RIM, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
    if cv2.countNonZero(core) < max(FEWEST_POINTS, area // 4):
        return mask
    return np.asarray(core).view(np.bool_)


def _depths_of_object(inner: Depth, width_on_1m: float) -> tuple[float, float] | None:
    """Return the least and the largest depth, in metres, of the object's own points; None with too few values.

    inner: (N,) depths within the eroded mask. width_on_1m: the width in metres that it would have at a depth of 1 m.
    """
    inner = inner[np.isfinite(inner)]
    if inner.size < FEWEST_POINTS:
        return None
    inner = inner[:: 1 + inner.size // _ENOUGH_FOR_MEDIAN]
    middle = _median(inner)
    deviation = _NORMAL * _median(np.abs(inner - np.float32(middle)))
    reach = max(_DEVIATIONS * deviation, _SHARE_OF_WIDTH * width_on_1m * middle)
    return middle - reach, middle + reach


def _median(values: NDArray[np.float32]) -> float:
    """Return the upper median: np.median takes longer than all other steps for a small object."""
    half = values.size // 2
    return float(np.partition(values, half)[half])


def _surface(points: NDArray[np.float32]) -> VisibleSurface:
    """Return the centre and the 3-D bounding box of points (3, N), in metres; reorders them."""
    x, y, z = points.mean(axis=1, dtype=np.float64).tolist()
    lowest = int(_OUTLIERS * points.shape[1])
    highest = points.shape[1] - 1 - lowest
    points.partition((lowest, highest), axis=1)
    low, high = points[:, lowest].tolist(), points[:, highest].tolist()
    return VisibleSurface((x, y, z), tuple(low), tuple(high))
