# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Motion by depth and camera poses where they hold, by optical flow where something moves by itself."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.kernels import Kernels, compiled_kernels
from zs_seg_ros.perception.camera_rays import rays_of
from zs_seg_ros.perception.optical_flow import Grey, Motion, shown_at
from zs_seg_ros.perception.reprojection import (
    TOLERANCE,
    View,
    depth_at,
    projection,
    reprojected,
)
from zs_seg_ros.perception.warping import TRUSTED, Places

# Chosen by measurement; see docs/decisions/0009-propagation.md.
_MOVED_TOLERANCE = 0.25
_LEAST_AGREEMENT = 0.2
_WORSE = 1.3
_WORSE_GREY_LEVELS = 2.0


@dataclass(frozen=True, eq=False)
class Geometry:
    """The motion by geometry and flow. agrees: (h, w) bool, where it is by geometry. measured: (h, w) bool, depth."""

    motion: Motion
    agrees: NDArray[np.bool_]
    measured: NDArray[np.bool_]


def by_geometry(newer: View, older: View, flow: Motion) -> Geometry:
    """Return the motion by depth and poses; where these do not agree, that by flow to places of a similar depth."""
    height, width = newer.depth_m.shape
    by_flow = flow.places((height, width))
    kernels = compiled_kernels()
    if kernels is not None and _is_plain(newer, older):
        return _compiled(kernels, newer, older, by_flow)
    places = reprojected(newer, older)
    # What moves by itself keeps about its depth; another depth belongs to what it hides, or what hides it.
    there_m, measured = depth_at(older, by_flow.x, by_flow.y), places.depth_m > 0
    difference_m = np.asarray(cv2.absdiff(there_m, places.depth_m), np.float32)
    other = difference_m > np.float32(_MOVED_TOLERANCE) * places.depth_m
    other &= measured & (there_m > 0)
    agrees = places.agrees.view(np.uint8)
    trust = by_flow.trust * ~other | agrees * np.uint8(TRUSTED)
    cv2.copyTo(places.x, agrees, by_flow.x)
    cv2.copyTo(places.y, agrees, by_flow.y)
    motion = Motion.to(Places(by_flow.x, by_flow.y, trust))
    return Geometry(motion, places.agrees, measured)


def _is_plain(newer: View, older: View) -> bool:
    """Return whether no lens distorts, and both views have one size: what the compiled function takes."""
    undistorted = newer.intrinsics.distortion is None and older.intrinsics.distortion is None
    return undistorted and newer.depth_m.shape == older.depth_m.shape


def _compiled(kernels: Kernels, newer: View, older: View, by_flow: Places) -> Geometry:
    """Return what `by_geometry` does."""
    x, y, trust, agrees, measured = kernels.reproject(
        (newer.depth_m, older.depth_m),
        rays_of(newer.intrinsics),
        projection(newer, older),
        (by_flow.x, by_flow.y, by_flow.trust),
        (TOLERANCE, _MOVED_TOLERANCE),
    )
    return Geometry(Motion(x, y, trust), agrees, measured)


def pose_holds(geometry: Geometry, flow: Motion, newer: Grey, older: Grey) -> bool:
    """Return whether the motion by geometry leads to about what the motion by flow leads to.

    A pose that is late or drifts leads to other parts of the older image: the depth there may agree all the same, the
    brightness does not. newer and older: the two images.
    """
    agreeing = np.count_nonzero(geometry.agrees)
    if agreeing < _LEAST_AGREEMENT * max(1, np.count_nonzero(geometry.measured)):
        return False
    height, width = newer.shape
    chosen = np.asarray(cv2.resize(geometry.agrees.view(np.uint8), (width, height)), np.uint8)

    def error(motion: Motion) -> float:
        difference = cv2.absdiff(shown_at(older, motion), newer)
        return cv2.mean(difference, chosen)[0] if cv2.countNonZero(chosen) else np.inf

    return error(geometry.motion) <= _WORSE * error(flow) + _WORSE_GREY_LEVELS
