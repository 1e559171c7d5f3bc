# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Image messages → colour and depth images.

A message is anything with the fields of its ROS type: one of rclpy, or one that rosbags read from a bag.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.encodings import CONVERTED, DEPTH, PLAIN, RawImage
from zs_seg_ros.images.image_limits import DEFAULT_IMAGE_LIMITS, ImageLimits
from zs_seg_ros.shown import quoted, shown
from zs_seg_ros.types import RgbImage

_VALUES = {"mono8": "u1", "8UC1": "u1", "mono16": "u2", "16UC1": "u2"}


def stamp_ns(stamp: Any) -> int:
    """Return nanoseconds since the epoch. Raises ImageError for more nanoseconds than a second has."""
    if stamp.nanosec >= 1_000_000_000:
        raise ImageError(
            f"an image with a stamp of {stamp.nanosec} nanoseconds past the second is dropped; there are at "
            "most 999999999, so the publisher's header is damaged"
        )
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def image_from_message(message: Any, limits: ImageLimits = DEFAULT_IMAGE_LIMITS) -> RgbImage:
    """Return the (H, W, 3) RGB image of an Image message; for the encodings in `PLAIN` a view on its bytes.

    Raises ImageError when size, step, data and encoding do not fit together, the encoding cannot be converted, or the
    image is larger than `limits`.
    """
    _check_size(message, limits)
    encoding = message.encoding
    if encoding in PLAIN:
        return _plain(message)
    if encoding in CONVERTED:
        return CONVERTED[encoding](_raw(message))
    if encoding in DEPTH:
        raise ImageError(
            f"an image with the encoding {encoding} is dropped: it is a depth image on a colour topic; name the colour "
            "topic, or publish mono16 for a grey image of 16 bits"
        )
    return _converted_by_cv_bridge(message)


def depth_from_image(message: Any, limits: ImageLimits = DEFAULT_IMAGE_LIMITS) -> NDArray[Any]:
    """Return (H, W) of an Image message: a view on its bytes, uint16 (16UC1, mono16) or float32 (32FC1).

    Raises ImageError as `image_from_message` does, and for another encoding.
    """
    _check_size(message, limits)
    if message.encoding not in DEPTH:
        raise ImageError(
            f"a depth image with the encoding {quoted(message.encoding)} is dropped; publish 16UC1 (millimetres) or "
            "32FC1 (metres)"
        )
    return _view(message, DEPTH[message.encoding], 1)[..., 0]


def values_from_image(
    message: Any, limits: ImageLimits = DEFAULT_IMAGE_LIMITS
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return (H, W) of a label image: a view on its bytes, uint8 (mono8, 8UC1) or uint16 (mono16, 16UC1).

    Raises ImageError as `image_from_message` does, and for another encoding.
    """
    _check_size(message, limits)
    if message.encoding not in _VALUES:
        raise ImageError(
            f"a label image with the encoding {quoted(message.encoding)} is dropped; publish mono8 or mono16"
        )
    return _view(message, _VALUES[message.encoding], 1)[..., 0]


def _check_size(message: Any, limits: ImageLimits) -> None:
    """Raise ImageError when size and data do not fit together."""
    height, width = message.height, message.width
    limits.check(width, height)
    if len(message.data) < message.step * height:
        raise ImageError(
            f"an image of {width}x{height} {shown(message.encoding)} is dropped: {len(message.data)} bytes are fewer "
            f"than its {height} rows of {message.step}; the publisher truncates it"
        )


def _plain(message: Any) -> RgbImage:
    encoding = PLAIN[message.encoding]
    pixels: RgbImage = _view(message, encoding.item, encoding.channels)
    if encoding.rgb is None:
        return cast(RgbImage, np.broadcast_to(pixels, (message.height, message.width, 3)))
    return pixels[..., encoding.rgb]


def _view(message: Any, item: str, channels: int) -> NDArray[Any]:
    """View the message's bytes as (H, W, channels). Raises ImageError when step and width do not fit."""
    item_type = np.dtype((">" if message.is_bigendian else "<") + item)
    pixel = item_type.itemsize * channels
    if message.step < pixel * message.width:
        raise ImageError(
            f"an image of {message.width}x{message.height} {message.encoding} is dropped: its step of "
            f"{message.step} bytes is less than a row of {pixel * message.width}"
        )
    return np.ndarray(
        (message.height, message.width, channels),
        item_type,
        buffer=message.data,
        strides=(message.step, pixel, item_type.itemsize),
    )


def _raw(message: Any) -> RawImage:
    return RawImage(
        message.height,
        message.width,
        message.encoding,
        bool(message.is_bigendian),
        message.step,
        np.frombuffer(message.data, np.uint8),
    )


def _converted_by_cv_bridge(message: Any) -> RgbImage:
    """Convert any other encoding by cv_bridge, where it is installed and knows it."""
    try:
        bridge = _bridge()
        image = bridge.imgmsg_to_cv2(_without_padding(message, bridge), "rgb8")
    # cv_bridge is missing (ImportError), or raises CvBridgeError, KeyError, cv2.error or TypeError.
    except Exception as error:
        raise ImageError(
            f"an image with the encoding {quoted(message.encoding)} is dropped: it cannot be converted to RGB; publish "
            f"one of {', '.join((*PLAIN, *CONVERTED))}"
        ) from error
    return np.asarray(image, dtype=np.uint8)


@cache
def _bridge() -> Any:
    """Import cv_bridge when an encoding needs it; the core does not require it."""
    from cv_bridge import CvBridge

    return CvBridge()


def _without_padding(message: Any, bridge: Any) -> Any:
    """Return the message with rows that follow each other, since PyPI's cv_bridge ignores step."""
    item, channels = bridge.encoding_to_dtype_with_channels(message.encoding)
    row = np.dtype(item).itemsize * channels * message.width
    if message.step <= row:
        return message
    size = message.step * message.height
    rows = np.frombuffer(message.data, np.uint8)[:size].reshape(message.height, message.step)
    return SimpleNamespace(
        height=message.height,
        width=message.width,
        encoding=message.encoding,
        is_bigendian=message.is_bigendian,
        step=row,
        data=np.ascontiguousarray(rows[:, :row]).ravel(),
    )
