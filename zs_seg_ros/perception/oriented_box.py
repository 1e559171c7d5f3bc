# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Oriented 3-D bounding boxes of point sets, for grasping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import Pose

FEWEST_POINTS = 10
_OUTLIERS = 0.25
"""Per cent of the points on either side of each axis that the box leaves out."""


@dataclass(frozen=True, eq=False)
class OrientedBox:
    """A box along the principal axes of the visible surface of an object.

    centre_m: (3,) float64, in metres. rotation: (3, 3) float64, whose columns are the axes, the longest first; a right-
    handed rotation. size_m: (3,) float64, the full extent along each axis, in metres.
    """

    centre_m: NDArray[np.float64]
    rotation: NDArray[np.float64]
    size_m: NDArray[np.float64]

    def moved(self, pose: Pose) -> OrientedBox:
        """Return the same box in the frame of the pose of the frame that it is in now."""
        centre = pose.rotation @ self.centre_m + pose.translation_m
        return OrientedBox(centre, pose.rotation @ self.rotation, self.size_m)


def oriented_box(points: NDArray[np.float32]) -> OrientedBox | None:
    """Return the box along the principal axes (PCA) of points (N, 3) in metres; None for fewer than `FEWEST_POINTS`.

    The largest component of the first axis is positive and the third axis points towards the camera, so that the box of
    an object that does not move keeps its axes from image to image.
    """
    if len(points) < FEWEST_POINTS:
        return None
    places = points.astype(np.float64)
    middle = places.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(places - middle, rowvar=False))
    rotation = axes[:, ::-1].copy()  # eigh returns the smallest variance first
    if rotation[np.abs(rotation[:, 0]).argmax(), 0] < 0:
        rotation[:, 0] *= -1
    if rotation[2, 2] > 0:
        rotation[:, 2] *= -1
    rotation[:, 1] = np.cross(rotation[:, 2], rotation[:, 0])
    along = (places - middle) @ rotation
    low, high = np.percentile(along, (_OUTLIERS, 100 - _OUTLIERS), axis=0)
    return OrientedBox(middle + rotation @ ((low + high) / 2), rotation, high - low)
