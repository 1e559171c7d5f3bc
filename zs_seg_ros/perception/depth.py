# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Depth images in metres, checked against their image and its camera_info."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import ImageError
from zs_seg_ros.types import Intrinsics

Depth = NDArray[np.float32]
"""(H, W) float32, metres along the optical axis; NaN where nothing was measured. From `depth_in_metres`."""

FARTHEST_M = 10_000.0
"""Larger values count as not measured: some simulators write the largest float for the sky."""
FARTHEST_PLAUSIBLE_M = 200.0
"""No depth camera measures farther; when most of an image is farther, its unit is another one."""


def depth_in_metres(values: NDArray[Any], unit_m: float = 0.0) -> Depth:
    """Return a new (H, W) float32 array of metres, NaN where nothing was measured (REP 118).

    values: (H, W) uint16 millimetres, where 0 is not measured, or float32 metres, where only positive numbers up to
    `FARTHEST_M` are measured; any strides and byte order. unit_m: the metres that a value of 1 stands for, if a camera
    deviates from these units; 0 if not. Raises ImageError for other shapes and dtypes.
    """
    kind = values.dtype.newbyteorder("=")
    if values.ndim != 2 or kind not in (np.uint16, np.float32):
        raise ImageError(
            f"a depth image must be (height, width) of uint16 or float32, not {values.shape} of {values.dtype}: "
            "publish 16UC1 in millimetres or 32FC1 in metres"
        )
    if unit_m:
        metres: Depth = np.multiply(values, np.float32(unit_m), dtype=np.float32)
    elif kind == np.uint16:
        metres = np.divide(values, np.float32(1000), dtype=np.float32)
    else:
        metres = values.astype(np.float32)
    with np.errstate(invalid="ignore"):
        np.copyto(metres, np.float32(np.nan), where=~((metres > 0) & (metres <= FARTHEST_M)))
    return metres


def depth_of_image_size(depth_m: Depth, image_size: tuple[int, int]) -> Depth:
    """Resize registered depth of the image's proportions to its size, by nearest neighbour.

    Depth of other proportions is returned unchanged: it is not registered to this image.
    """
    height, width = image_size
    have_height, have_width = depth_m.shape
    if depth_m.shape == image_size or have_height * width != have_width * height:
        return depth_m
    rows = (np.arange(height) * have_height) // height
    columns = (np.arange(width) * have_width) // width
    resized: Depth = depth_m[rows[:, None], columns]
    return resized


def unit_problem(depth_m: Depth) -> str:
    """Return why the unit of the depth seems wrong: most of it is farther than cameras measure; else empty."""
    sample = depth_m[:: 1 + depth_m.shape[0] // 32, :: 1 + depth_m.shape[1] // 32]
    sample = sample[np.isfinite(sample)]
    if not sample.size or (median_m := float(np.median(sample))) <= FARTHEST_PLAUSIBLE_M:
        return ""
    return (
        f"most of the depth is beyond {FARTHEST_PLAUSIBLE_M:g} m (median {median_m:.0f} m): the camera seems to "
        "publish another unit than metres (32FC1) or millimetres (16UC1); say which with the parameter CAM.depth_scale"
    )


def check_sizes(image_size: tuple[int, int], depth_m: Depth, intrinsics: Intrinsics) -> None:
    """Raise ImageError unless depth and camera_info have the size (H, W) of the image."""
    height, width = image_size
    if depth_m.shape != (height, width):
        raise ImageError(
            f"the depth image is {depth_m.shape[1]}x{depth_m.shape[0]}, the image {width}x{height}: "
            "have the depth registered to the colour image"
        )
    if (intrinsics.height, intrinsics.width) != (height, width):
        raise ImageError(
            f"camera_info is for {intrinsics.width}x{intrinsics.height}, the image is {width}x{height}: "
            "publish the camera_info of the colour image"
        )
