"""sensor_msgs/CameraInfo → intrinsics of the image that it comes with: binning, region of interest, distortion."""

from __future__ import annotations

import math
from typing import Any

from zs_seg_ros.errors import ImageError
from zs_seg_ros.shown import quoted
from zs_seg_ros.types import Distortion, Intrinsics

_COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,)}
"""How many numbers D may have, per distortion model of sensor_msgs/distortion_models.hpp."""


def intrinsics_from_info(message: Any) -> Intrinsics:
    """Return the intrinsics of the images that a CameraInfo describes.

    K and the size are those of the full resolution; the region of interest is cut out of it and then binned, as
    image_geometry's PinholeCameraModel does. Zeros in binning and region mean none. Raises ImageError when the camera
    is not calibrated, or its distortion model is not known and has coefficients.
    """
    if len(message.k) != 9:
        raise ImageError(f"camera_info has a K of {len(message.k)} values; it must have 9")
    fx, _, cx, _, fy, cy = (float(value) for value in message.k[:6])
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
        distortion_from_info(message),
    )


def distortion_from_info(message: Any) -> Distortion | None:
    """Return the lens distortion; None where the image is rectified or the lens has none (D empty or zero).

    Raises ImageError for an unknown model with coefficients, a wrong number of them, or one that is not finite.
    """
    coefficients = tuple(float(value) for value in message.d)
    if not any(coefficients):
        return None
    model = str(message.distortion_model)
    if model not in _COEFFICIENTS:
        raise ImageError(
            f"camera_info has the distortion model {quoted(model, 40)}, which is not known; publish rectified images "
            f"with an empty D, or one of {', '.join(_COEFFICIENTS)}"
        )
    if len(coefficients) not in _COEFFICIENTS[model] or not all(map(math.isfinite, coefficients)):
        raise ImageError(
            f"camera_info has {len(coefficients)} coefficients of {model} distortion, some of them perhaps not finite; "
            f"{' or '.join(map(str, _COEFFICIENTS[model]))} finite ones are needed: calibrate the camera again"
        )
    return Distortion(model, coefficients)
