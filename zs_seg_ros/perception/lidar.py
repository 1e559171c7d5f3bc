# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Labels for the points of a LiDAR: each point that the camera sees gets the label of its pixel.

A LiDAR is mounted elsewhere than the camera, so it measures points that the camera does not see. Those are recognised
by the depth of the other points: a point is hidden where nearer ones lie on two opposite sides of it in the image. A
floor, whose nearer points are all below, hides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import DetectedObject, Intrinsics, Pose, Segmentation

NEAREST_M = 0.05
"""Nearer points, and points behind the camera, are not in its image."""

_SMALLEST_CELL_PX, _LARGEST_CELL_PX = 2, 32
_POINTS_PER_CELL = 1.5
_REACH_CELLS = 5
_TOLERANCE_M = 0.15
_TOLERANCE_SHARE = 0.04
"""By how much farther than points around it, in metres and as a share of its distance, a point counts as hidden."""
_BEYOND_IMAGE = 1.1
"""How far beyond the image's edges, as a share, points are projected: far outside, lens models fold back into it."""
_WIDEST_FISHEYE_RAD = 1.5
"""The largest angle from the optical axis at which points are projected through a fisheye lens."""


@dataclass(frozen=True, eq=False)
class LabelledPoints:
    """The labels of N points: label (N,) uint16, confidence (N,) float32 in 0..1, track_id (N,) uint32.

    All are 0 for points that are unlabelled, hidden or outside of the image.
    """

    label: NDArray[np.uint16]
    confidence: NDArray[np.float32]
    track_id: NDArray[np.uint32]


def label_points(
    points: NDArray[np.float32],
    to_camera: Pose,
    intrinsics: Intrinsics,
    segmentation: Segmentation,
    objects: Sequence[DetectedObject],
) -> LabelledPoints:
    """Return the labels of points (N, 3) in metres, in the LiDAR's frame; NaN and infinite ones are unlabelled.

    to_camera: the pose of the LiDAR in the camera's optical frame, at the moments of both measurements. intrinsics: of
    the image that `segmentation` and the masks of `objects` belong to.
    """
    count = len(points)
    result = LabelledPoints(
        np.zeros(count, np.uint16), np.zeros(count, np.float32), np.zeros(count, np.uint32)
    )
    index, row, column, depth = _pixels_of(points, to_camera, intrinsics)
    visible = ~_hidden(row, column, depth, (intrinsics.height, intrinsics.width))
    index, row, column = index[visible], row[visible], column[visible]
    result.label[index] = segmentation.label[row, column]
    result.confidence[index] = segmentation.confidence[row, column] / np.float32(255)
    for detected in reversed(objects):  # a more confident object overwrites the others
        box = detected.box
        top, left = row - box.top, column - box.left
        inside = (top >= 0) & (top < box.height) & (left >= 0) & (left < box.width)
        chosen = np.flatnonzero(inside)
        chosen = chosen[detected.mask[top[chosen], left[chosen]]]
        chosen = chosen[result.label[index[chosen]] == detected.class_id]
        result.track_id[index[chosen]] = detected.track_id
    return result


def _pixels_of(
    points: NDArray[np.float32], to_camera: Pose, intrinsics: Intrinsics
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return index, row, column and depth, each (M,), of the points that lie within the image."""
    rotation = to_camera.rotation.astype(np.float32)
    limit = _widest_ray(intrinsics)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        x, y, depth = rotation @ points.T + to_camera.translation_m.astype(np.float32)[:, None]
        x /= depth
        y /= depth
        usable = (depth > NEAREST_M) & (np.abs(x) <= limit) & (np.abs(y) <= limit)  # not NaN
    index = np.flatnonzero(usable & (depth < np.inf))
    column, row = np.rint(_projected(x[index], y[index], intrinsics)).astype(np.intp)
    inside = (row >= 0) & (row < intrinsics.height) & (column >= 0) & (column < intrinsics.width)
    return index[inside], row[inside], column[inside], depth[index[inside]]


def _widest_ray(intrinsics: Intrinsics) -> float:
    """Return the largest x or y, in metres at a depth of 1 m, of a point that may lie within the image."""
    widest = max(
        max(intrinsics.cx, intrinsics.width - 1 - intrinsics.cx) / intrinsics.fx,
        max(intrinsics.cy, intrinsics.height - 1 - intrinsics.cy) / intrinsics.fy,
    )
    if intrinsics.distortion is not None and intrinsics.distortion.model == "equidistant":
        widest = math.tan(min(widest * math.sqrt(2), _WIDEST_FISHEYE_RAD))
    elif intrinsics.distortion is not None:
        widest *= 2  # a barrel distortion shows more than a pinhole would
    return widest * _BEYOND_IMAGE


def _projected(
    x: NDArray[np.float32], y: NDArray[np.float32], intrinsics: Intrinsics
) -> NDArray[np.float64]:
    """Return (2, M): columns and rows in pixels, of points (M,) at a depth of 1 m, by OpenCV's lens models."""
    focal = np.array([intrinsics.fx, intrinsics.fy])
    centre = np.array([intrinsics.cx, intrinsics.cy])
    distortion = intrinsics.distortion
    if distortion is None or not len(x):
        return np.asarray((x * focal[0] + centre[0], y * focal[1] + centre[1]), np.float64)
    matrix = np.array([[focal[0], 0, centre[0]], [0, focal[1], centre[1]], [0, 0, 1]])
    places = np.stack((x, y, np.ones_like(x)), axis=-1).astype(np.float64)[:, None]
    unmoved, coefficients = np.zeros(3), np.array(distortion.coefficients, np.float64)
    if distortion.model == "equidistant":
        pixels, _ = cv2.fisheye.projectPoints(places, unmoved, unmoved, matrix, coefficients)
    else:
        pixels, _ = cv2.projectPoints(places, unmoved, unmoved, matrix, coefficients)
    return np.asarray(pixels, np.float64).reshape(-1, 2).T


def _hidden(
    row: NDArray[np.intp],
    column: NDArray[np.intp],
    depth: NDArray[np.float32],
    size: tuple[int, int],
) -> NDArray[np.bool_]:
    """Return (M,): whether nearer points lie on two opposite sides of each point, left and right or above and below."""
    if not len(depth):
        return np.zeros(0, np.bool_)
    spacing = math.sqrt(_POINTS_PER_CELL * size[0] * size[1] / len(depth))
    cell = int(min(max(spacing, _SMALLEST_CELL_PX), _LARGEST_CELL_PX))
    rows, columns = row // cell, column // cell
    nearest = np.full((size[0] // cell + 1, size[1] // cell + 1), np.inf, np.float32)
    np.minimum.at(nearest.reshape(-1), rows * nearest.shape[1] + columns, depth)
    limit = depth - np.maximum(np.float32(_TOLERANCE_M), _TOLERANCE_SHARE * depth)
    above, below, left, right = (
        _nearest_beside(nearest, axis, last)[rows, columns] < limit
        for axis, last in ((0, True), (0, False), (1, True), (1, False))
    )
    hidden: NDArray[np.bool_] = (above & below) | (left & right)
    return hidden


def _nearest_beside(nearest: NDArray[np.float32], axis: int, before: bool) -> NDArray[np.float32]:
    """Return the least value of the cell and of the `_REACH_CELLS` cells before or after it along an axis."""
    shape = (_REACH_CELLS + 1, 1) if axis == 0 else (1, _REACH_CELLS + 1)
    place = _REACH_CELLS if before else 0
    anchor = (0, place) if axis == 0 else (place, 0)
    far = (float(np.finfo(np.float32).max),) * 4
    return np.asarray(
        cv2.erode(
            nearest,
            np.ones(shape, np.uint8),
            anchor=anchor,
            borderType=cv2.BORDER_CONSTANT,
            borderValue=far,
        ),
        np.float32,
    )
