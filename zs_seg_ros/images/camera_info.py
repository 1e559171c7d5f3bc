# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""sensor_msgs/CameraInfo → intrinsics of the image that it comes with: binning, region of interest, distortion."""

from __future__ import annotations

import math
from typing import Any

from zs_seg_ros.errors import ImageError
from zs_seg_ros.shown import quoted
from zs_seg_ros.types import Distortion, Intrinsics

_POLYNOMIAL = (4, 5, 8, 12, 14)
"""OpenCV's order of coefficients, in which shorter lists are longer ones that end in zeros."""

COEFFICIENTS = {
    "plumb_bob": _POLYNOMIAL,
    "rational_polynomial": _POLYNOMIAL,
    "equidistant": (4,),
}
"""How many numbers D may have, per distortion model of sensor_msgs/distortion_models.hpp."""

OTHER_NAMES = {
    "brown_conrady": "plumb_bob",
    "radtan": "plumb_bob",
    "fisheye": "equidistant",
    "kannala_brandt": "equidistant",
}
"""Names of the same models that drivers and calibration tools write."""


def intrinsics_from_info(message: Any) -> Intrinsics:
    """Return the intrinsics of the images that a CameraInfo describes.

    Matrices and size are those of the full resolution; the region of interest is cut out of it and then binned, as
    image_geometry's PinholeCameraModel does. Zeros in binning and region mean none. Without distortion, or without K,
    the image is taken for a rectified one, which P describes, where P is set. Raises ImageError when the camera is not
    calibrated, or its distortion model is not known and has coefficients.
    """
    if len(message.k) != 9 or len(message.p) != 12:
        raise ImageError(
            f"camera_info has a K of {len(message.k)} and a P of {len(message.p)} values; they must have 9 and 12"
        )
    distortion = distortion_from_info(message) if any(message.k) else None
    fx, cx, fy, cy = _focal_lengths_and_centre(message, distortion)
    region = message.roi
    width, height = int(region.width or message.width), int(region.height or message.height)
    binning_x, binning_y = max(int(message.binning_x), 1), max(int(message.binning_y), 1)
    return Intrinsics(
        fx / binning_x,
        fy / binning_y,
        (cx - int(region.x_offset)) / binning_x,
        (cy - int(region.y_offset)) / binning_y,
        width // binning_x,
        height // binning_y,
        distortion,
    )


def _focal_lengths_and_centre(message: Any, distortion: Distortion | None) -> list[float]:
    """Return fx, cx, fy, cy in pixels: of P for a rectified image, where it is set, and of K for any other."""
    k, p = [float(value) for value in message.k], [float(value) for value in message.p]
    p_is_set = all(1 < focal_length < math.inf for focal_length in (p[0], p[5]))
    if distortion is None and p_is_set:
        return [p[0], p[2], p[5], p[6]]
    return [k[0], k[2], k[4], k[5]]


def distortion_from_info(message: Any) -> Distortion | None:
    """Return the lens distortion; None where the image is rectified or the lens has none (D empty or zero).

    Raises ImageError for an unknown model with coefficients, a wrong number of them, or one that is not finite.
    """
    coefficients = tuple(float(value) for value in message.d)
    if not any(coefficients):
        return None
    name = str(message.distortion_model)
    model = OTHER_NAMES.get(name, name)
    if model not in COEFFICIENTS:
        raise ImageError(
            f"camera_info has the distortion model {quoted(name, 40)}, which is not known; publish rectified images "
            f"with an empty D, or one of {', '.join((*COEFFICIENTS, *OTHER_NAMES))}"
        )
    if len(coefficients) not in COEFFICIENTS[model] or not all(map(math.isfinite, coefficients)):
        raise ImageError(
            f"camera_info has {len(coefficients)} coefficients of {model} distortion, some of them perhaps not finite; "
            f"{' or '.join(map(str, COEFFICIENTS[model]))} finite ones are needed: calibrate the camera again"
        )
    return Distortion(model, coefficients)
