# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A world of two walls with exact truth: a board of class 5 in front of a wall, viewed by a camera at any pose."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import DepthImage, Frame, Intrinsics, Pose, Segmentation

SIZE = (120, 160)
INTRINSICS = Intrinsics(150.0, 150.0, 79.5, 59.5, SIZE[1], SIZE[0])
STEP_NS = 100_000_000
CLASS_ID = 5
WALL_M = 2.0


def texture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return an (H, W, 3) image with structures of several sizes."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.float32)
    for scale in (4, 8, 16, 32):
        size = (height // scale + 2, width // scale + 2, 3)
        image += cv2.resize(rng.random(size).astype(np.float32), (width, height)) / 4
    return (image * 255).astype(np.uint8)


def pose(x: float = 0.0, y: float = 0.0, z: float = 0.0, turn_deg: float = 0.0) -> Pose:
    """Return the pose of a camera that faces the walls, moved and turned about its y axis."""
    rotation, _ = cv2.Rodrigues(np.array([0.0, np.radians(turn_deg), 0.0]))
    return Pose(np.asarray(rotation, np.float64), np.array([x, y, z]))


@dataclass(frozen=True)
class Walls:
    """The board is at board_m in front of the camera at its origin, 2 * half_m wide and high, and centred at x_m."""

    board_m: float = 1.0
    half_m: float = 0.15
    blank: bool = False

    def frame(
        self, number: int, camera: Pose, x_m: float = 0.0, claimed: Pose | None = None
    ) -> tuple[Frame, NDArray[np.uint8]]:
        """Return a frame with depth, and its true label image. claimed: a wrong pose that it has instead."""
        height, width = SIZE
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        rays = np.stack(
            (
                (columns - INTRINSICS.cx) / INTRINSICS.fx,
                (rows - INTRINSICS.cy) / INTRINSICS.fy,
                np.ones(SIZE),
            ),
            axis=-1,
        )
        rays = rays @ camera.rotation.T
        image, depth_m = self._surface(rays, camera, WALL_M, seed=1)
        board, board_depth_m = self._surface(rays, camera, self.board_m, seed=2, shift_m=x_m)
        points = camera.translation_m + rays * board_depth_m[..., None]
        on_board = (np.abs(points[..., 0] - x_m) <= self.half_m) & (
            np.abs(points[..., 1]) <= self.half_m
        )
        image[on_board] = board[on_board]
        depth_m[on_board] = board_depth_m[on_board]
        stamp_ns = (number + 1) * STEP_NS
        depth = DepthImage(depth_m.astype(np.float32), INTRINSICS, stamp_ns)
        frame = Frame("camera", image, stamp_ns, depth=depth, pose=claimed or camera)
        return frame, np.where(on_board, np.uint8(CLASS_ID), np.uint8(0))

    def _surface(
        self, rays: NDArray[np.float64], camera: Pose, at_m: float, seed: int, shift_m: float = 0.0
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """Return image and depth of an endless wall at z = at_m."""
        depth_m = (at_m - camera.translation_m[2]) / rays[..., 2]
        if self.blank:
            return np.full((*SIZE, 3), 90 * seed, np.uint8), depth_m
        points = camera.translation_m + rays * depth_m[..., None]
        place = ((points[..., :2] - (shift_m, 0)) * 100 + 400).astype(np.float32)
        pattern = texture(800, 800, seed)
        image = cv2.remap(pattern, place[..., 0], place[..., 1], cv2.INTER_LINEAR)
        return np.asarray(image, np.uint8), depth_m


def segmentation(label: NDArray[np.uint8], confidence: int = 200) -> Segmentation:
    """Return a segmentation with one confidence."""
    return Segmentation(label, np.where(label > 0, np.uint8(confidence), np.uint8(0)))


def iou(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    """Return the IoU of two label images, regardless of the classes."""
    both = np.count_nonzero((one > 0) & (other > 0))  # type: ignore[operator]
    return float(both / np.count_nonzero((one > 0) | (other > 0)))  # type: ignore[operator]
