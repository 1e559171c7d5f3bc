"""Images as messages carry them → images and depth.

A message is anything with the fields of its ROS type, whoever made it: rclpy, or rosbags out of a recording.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import ImageError
from zs_seg_ros.types import MAX_SIDE_PX, RgbImage

# encoding -> item type and the channels that are red, green and blue, read where they lie in the message
_PLAIN = {
    "rgb8": ("u1", 3, slice(None)),
    "bgr8": ("u1", 3, slice(None, None, -1)),
    "rgba8": ("u1", 4, slice(0, 3)),
    "bgra8": ("u1", 4, slice(2, None, -1)),
    "mono8": ("u1", 1, None),
    "mono16": ("u2", 1, None),
}
DEPTH_ITEMS = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}


def stamp_ns(stamp: Any) -> int:
    """Nanoseconds since the epoch. Raises ImageError when there is no such time."""
    if stamp.nanosec >= 1_000_000_000:
        raise ImageError(
            f"an image with a stamp of {stamp.nanosec} nanoseconds past the second is dropped; there are at "
            "most 999999999, so the publisher's header is damaged"
        )
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def image_from_message(message: Any, max_side: int = MAX_SIDE_PX) -> RgbImage:
    """(H, W, 3) RGB of an Image. A view on its bytes for rgb8, bgr8, rgba8, bgra8, mono8 and mono16.

    Raises ImageError when size, step, data and encoding do not fit together, nobody can convert the encoding, or a side
    is longer than `max_side` pixels.
    """
    _check_size(message, max_side)
    if message.encoding not in _PLAIN:
        return _converted(message)
    item, channels, order = _PLAIN[message.encoding]
    pixels: RgbImage = _view(message, item, channels)
    if order is None:
        return cast(RgbImage, np.broadcast_to(pixels, (message.height, message.width, 3)))
    return pixels[..., order]


def depth_from_image(message: Any, max_side: int = MAX_SIDE_PX) -> NDArray[Any]:
    """(H, W) of an Image: a view on its bytes, uint16 (16UC1, mono16: millimetres) or float32 (32FC1: metres).

    Raises ImageError as `image_from_message` does, and for another encoding.
    """
    _check_size(message, max_side)
    if message.encoding not in DEPTH_ITEMS:
        raise ImageError(
            f"a depth image with the encoding {message.encoding!r} is dropped; publish 16UC1 (millimetres) or "
            "32FC1 (metres)"
        )
    return _view(message, DEPTH_ITEMS[message.encoding], 1)[..., 0]


def check_sides(width: int, height: int, max_side: int) -> None:
    """Raise ImageError unless both are 1 to `max_side` pixels."""
    if not (0 < height <= max_side and 0 < width <= max_side):
        raise ImageError(
            f"an image of {width}x{height} pixels is dropped; sides must be 1 to {max_side}"
        )


def _check_size(message: Any, max_side: int) -> None:
    """Raise ImageError when size and data do not fit together."""
    height, width, encoding = message.height, message.width, message.encoding
    check_sides(width, height, max_side)
    if len(message.data) < message.step * height:
        raise ImageError(
            f"an image of {width}x{height} {encoding} is dropped: {len(message.data)} bytes are fewer than "
            f"its {height} rows of {message.step}; the publisher cuts it off"
        )


def _view(message: Any, item: str, channels: int) -> NDArray[Any]:
    """(H, W, channels): a view on the message's bytes. Raises ImageError when step and width do not fit."""
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


def _converted(message: Any) -> RgbImage:
    """All other encodings, by cv_bridge."""
    try:
        bridge = _bridge()
        image = bridge.imgmsg_to_cv2(_without_padding(message, bridge), "rgb8")
    except ImportError as error:
        raise ImageError(
            f"an image with the encoding {message.encoding!r} is dropped: cv_bridge, which converts it, cannot be "
            f"imported ({error}); install it with your ROS 2, or with `pip install cv-bridge`"
        ) from error
    except Exception as error:  # cv_bridge raises CvBridgeError, KeyError, cv2.error and TypeError
        known = ", ".join(_PLAIN)
        raise ImageError(
            f"an image with the encoding {message.encoding!r} is dropped: cv_bridge cannot turn it into rgb8 "
            f"({type(error).__name__}: {error}); publish one of {known}"
        ) from error
    return np.asarray(image, dtype=np.uint8)


@cache
def _bridge() -> Any:
    """Not imported before an encoding needs it: the core does without."""
    from cv_bridge import CvBridge

    return CvBridge()


def _without_padding(message: Any, bridge: Any) -> Any:
    """PyPI's cv_bridge takes no notice of step."""
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
