# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The labelled point cloud: one point for each pixel of the label image, with its class, its track and its colour.

Coordinates are those of the camera's optical frame: x right, y down, z forward (REP 103), in metres.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.perception.camera_rays import Rays, rays_of
from zs_seg_ros.perception.depth import Depth, check_sizes
from zs_seg_ros.perception.output_size import PixelGrid, pixel_grid
from zs_seg_ros.types import DetectedObject, Intrinsics, Label, Pose, RgbImage, size_of

POINT = np.dtype(
    [
        ("x", "<f4"),
        ("y", "<f4"),
        ("z", "<f4"),
        ("rgb", "<f4"),
        ("label", "<u2"),
        ("track_id", "<u4"),
        ("confidence", "<f4"),
    ],
    align=True,
)
"""One point of `cloud`: 28 bytes, each field aligned to its type, so that C++ can read it in place."""


def cloud(
    image: RgbImage,
    label: Label,
    confidence: NDArray[np.uint8],
    objects: Sequence[DetectedObject],
    depth_m: Depth,
    intrinsics: Intrinsics,
    camera_pose: Pose | None = None,
) -> NDArray[np.void]:
    """Return one point per pixel of the label image, (h, w) of `POINT`, as the data of a sensor_msgs/PointCloud2.

    image, depth_m, and the masks of objects: (H, W). label and confidence: (h, w), as in `Segmentation`, as large or
    smaller; then each point is that of the pixel of the image under the centre of its label (`pixel_grid`). Of each
    point, x, y and z are in metres in the camera's optical frame or, with `camera_pose`, in the frame that the pose is
    in, NaN without depth; rgb is 0x00RRGGBB in a float32, as PCL packs it; confidence is 0..1; track_id is that of the
    object whose mask covers the pixel, the one with the highest score where masks overlap, 0 without a mask. Raises
    ImageError when depth or intrinsics differ from the image in size, ValueError when label and confidence differ, or
    are larger than the image.
    """
    size, output = size_of(image), (label.shape[0], label.shape[1])
    check_sizes(size, depth_m, intrinsics)
    if output != confidence.shape or output[0] > size[0] or output[1] > size[1]:
        raise ValueError(
            f"label {label.shape} and confidence {confidence.shape} differ in size, or are larger than the image, "
            f"{size}"
        )
    rays, grid = rays_of(intrinsics), None if output == size else pixel_grid(size, output)
    if grid is not None:
        image, depth_m, rays = grid.of(image), grid.of(depth_m), Rays(*map(grid.of, rays))
    points = np.zeros(output, POINT)
    if camera_pose is None:
        np.multiply(depth_m, rays.x, out=points["x"])
        np.multiply(depth_m, rays.y, out=points["y"])
        points["z"] = depth_m if intrinsics.distortion is None else depth_m + 0 * rays.x
    else:
        _place(points, depth_m, rays, camera_pose)
    points["rgb"] = _packed_colours(image)
    points["label"] = label
    np.divide(confidence, np.float32(255), out=points["confidence"], dtype=np.float32)
    for detected in sorted(objects, key=lambda detected: detected.score):
        region, mask = _on_grid(detected, grid)
        np.copyto(points["track_id"][region], np.uint32(detected.track_id), where=mask)
    return points


def _place(points: NDArray[np.void], depth_m: Depth, rays: Rays, pose: Pose) -> None:
    """Fill in x, y and z in the frame of the pose: rays are turned before they are as long as the depth."""
    rotation, translation = pose.rotation.astype(np.float32), pose.translation_m.astype(np.float32)
    for axis, name in enumerate("xyz"):
        along_x, along_y, along_z = rotation[axis]
        turned = along_x * rays.x + (along_y * rays.y + along_z)
        turned *= depth_m
        np.add(turned, translation[axis], out=points[name])


def _on_grid(
    detected: DetectedObject, grid: PixelGrid | None
) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Return the rows and columns of the output that the box of an object covers, and its mask there."""
    box = detected.box
    low, high = (box.top, box.left), (box.top + box.height, box.left + box.width)
    if grid is None:
        return (slice(low[0], high[0]), slice(low[1], high[1])), detected.mask
    rows, columns = (
        slice(*np.searchsorted(axis, (first, last)).tolist())
        for axis, first, last in zip((grid.rows, grid.columns), low, high, strict=True)
    )
    mask = detected.mask[grid.rows[rows] - box.top][:, grid.columns[columns] - box.left]
    return (rows, columns), mask


def _packed_colours(image: RgbImage) -> NDArray[np.float32]:
    """Pack each pixel as 0x00RRGGBB and view it as a float32: (H, W)."""
    pixels = (image >> 8).astype(np.uint8) if image.dtype.itemsize == 2 else image
    bgr = pixels[..., ::-1]
    if bgr.flags.c_contiguous:  # an RGB view of a bgr8 message
        bgrx = cv2.cvtColor(bgr, cv2.COLOR_BGR2BGRA)
    else:
        bgrx = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGRA)
    packed = bgrx.view("<u4")[..., 0]
    packed &= np.uint32(0x00FFFFFF)
    return packed.view("<f4")
