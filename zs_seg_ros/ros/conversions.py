"""Messages ↔ the core's types: the only place that knows both."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from builtin_interfaces.msg import Time
from cv_bridge import CvBridge
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

import zs_seg_ros.msg as messages
from zs_seg_ros.errors import ImageError, VocabularyError
from zs_seg_ros.projection import Intrinsics
from zs_seg_ros.types import MAX_SIDE_PX, Frame, Picture
from zs_seg_ros.vocabulary import Exemplar, TargetClass, Vocabulary

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
_bridge = CvBridge()


def stamp_ns(stamp: Time) -> int:
    """Nanoseconds since the epoch. Raises ImageError when there is no such time."""
    if stamp.nanosec >= 1_000_000_000:
        raise ImageError(
            f"an image with a stamp of {stamp.nanosec} nanoseconds past the second is dropped; there are at "
            "most 999999999, so the publisher's header is damaged"
        )
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def time_message(stamp: int) -> Time:
    seconds, nanoseconds = divmod(stamp, 1_000_000_000)
    return Time(sec=seconds, nanosec=nanoseconds)


def header_of(frame: Frame) -> Header:
    """The header of the image that the frame came from."""
    return Header(stamp=time_message(frame.stamp_ns), frame_id=frame.frame_id)


def picture_from_image(message: Image, max_side: int = MAX_SIDE_PX) -> Picture:
    """(H, W, 3) RGB of an Image. A view on its bytes for rgb8, bgr8, rgba8, bgra8, mono8 and mono16.

    Raises ImageError when size, step, data and encoding do not fit together, nobody can convert the encoding, or a side
    is longer than `max_side` pixels.
    """
    _check_size(message, max_side)
    if message.encoding not in _PLAIN:
        return _converted(message)
    item, channels, order = _PLAIN[message.encoding]
    pixels: Picture = _view(message, item, channels)
    if order is None:
        return cast(Picture, np.broadcast_to(pixels, (message.height, message.width, 3)))
    return pixels[..., order]


def depth_from_image(message: Image, max_side: int = MAX_SIDE_PX) -> NDArray[Any]:
    """(H, W) of an Image: a view on its bytes, uint16 (16UC1, mono16: millimetres) or float32 (32FC1: metres).

    Raises ImageError as `picture_from_image` does, and for another encoding.
    """
    _check_size(message, max_side)
    if message.encoding not in DEPTH_ITEMS:
        raise ImageError(
            f"a depth image with the encoding {message.encoding!r} is dropped; publish 16UC1 (millimetres) or "
            "32FC1 (metres)"
        )
    return _view(message, DEPTH_ITEMS[message.encoding], 1)[..., 0]


def intrinsics_from_info(message: CameraInfo) -> Intrinsics:
    """Raises ImageError when the camera is not calibrated."""
    return Intrinsics.from_matrix(message.k, message.height, message.width)


def check_sides(width: int, height: int, max_side: int) -> None:
    """Raise ImageError unless both are 1 to `max_side` pixels."""
    if not (0 < height <= max_side and 0 < width <= max_side):
        raise ImageError(
            f"an image of {width}x{height} pixels is dropped; sides must be 1 to {max_side}"
        )


def _check_size(message: Image, max_side: int) -> None:
    """Raise ImageError when size and data do not fit together."""
    height, width, encoding = message.height, message.width, message.encoding
    check_sides(width, height, max_side)
    if len(message.data) < message.step * height:
        raise ImageError(
            f"an image of {width}x{height} {encoding} is dropped: {len(message.data)} bytes are fewer than "
            f"its {height} rows of {message.step}; the publisher cuts it off"
        )


def _view(message: Image, item: str, channels: int) -> NDArray[Any]:
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


def _converted(message: Image) -> Picture:
    """All other encodings, by cv_bridge."""
    try:
        picture = _bridge.imgmsg_to_cv2(_without_padding(message), "rgb8")
    except Exception as error:  # cv_bridge raises CvBridgeError, KeyError, cv2.error and TypeError
        known = ", ".join(_PLAIN)
        raise ImageError(
            f"an image with the encoding {message.encoding!r} is dropped: cv_bridge cannot turn it into rgb8 "
            f"({type(error).__name__}: {error}); publish one of {known}"
        ) from error
    return np.asarray(picture, dtype=np.uint8)


def _without_padding(message: Image) -> Image:
    """PyPI's cv_bridge takes no notice of step."""
    item, channels = _bridge.encoding_to_dtype_with_channels(message.encoding)
    row = np.dtype(item).itemsize * channels * message.width
    if message.step <= row:
        return message
    size = message.step * message.height
    rows = np.frombuffer(message.data, np.uint8)[:size].reshape(message.height, message.step)
    unpadded = Image(
        height=message.height,
        width=message.width,
        encoding=message.encoding,
        is_bigendian=message.is_bigendian,
        step=row,
    )
    fill(unpadded, rows[:, :row])
    return unpadded


def fill(message: Image | PointCloud2, pixels: NDArray[Any]) -> None:
    """Put an array's bytes into a new message.

    Into the array that it has: the message's constructor would copy them three times, its setter twice.
    """
    message.data.frombytes(np.ascontiguousarray(pixels).data.cast("B"))


def image_message(pixels: NDArray[Any], encoding: str, header: Header) -> Image:
    """An Image without row padding. pixels: (H, W) or (H, W, C), contiguous or not."""
    height, width = pixels.shape[:2]
    message = Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=pixels.nbytes // height,
    )
    fill(message, pixels)
    return message


def classes_from_messages(
    targets: list[messages.TargetClass], max_side: int = MAX_SIDE_PX
) -> tuple[TargetClass, ...]:
    """Raises VocabularyError when an exemplar cannot be read."""
    return tuple(
        TargetClass(
            target.name,
            tuple(target.prompts),
            float(target.threshold),
            tuple(_exemplar(e, target.name, max_side) for e in target.exemplars),
        )
        for target in targets
    )


def _exemplar(message: messages.Exemplar, name: str, max_side: int) -> Exemplar:
    try:
        pixels = picture_from_image(message.image, max_side)
        shift = 8 * (pixels.dtype.itemsize - 1)
        picture: NDArray[np.uint8] = (pixels >> shift).astype(np.uint8)
        if not len(message.mask.data):
            return Exemplar(picture)
        mask = picture_from_image(message.mask, max_side)[..., 0] != 0
    except ImageError as error:
        raise VocabularyError(f"an exemplar of {name!r} cannot be read: {error}") from error
    if mask.shape != picture.shape[:2]:
        raise VocabularyError(
            f"an exemplar of {name!r} has a mask of {mask.shape[1]}x{mask.shape[0]} pixels and an image of "
            f"{picture.shape[1]}x{picture.shape[0]}; they must be of one size"
        )
    if not mask.any():
        raise VocabularyError(
            f"an exemplar of {name!r} has an empty mask; mark the thing or leave it out"
        )
    return Exemplar(picture, mask)


def vocabulary_message(vocabulary: Vocabulary) -> messages.Vocabulary:
    return messages.Vocabulary(
        header=Header(stamp=time_message(vocabulary.stamp_ns)),
        version=vocabulary.version,
        ids=list(vocabulary.ids),
        classes=[_target_message(target) for target in vocabulary.classes],
    )


def _target_message(target: TargetClass) -> messages.TargetClass:
    return messages.TargetClass(
        name=target.name,
        prompts=list(target.prompts),
        threshold=target.threshold,
        exemplars=[_exemplar_message(exemplar) for exemplar in target.exemplars],
    )


def _exemplar_message(exemplar: Exemplar) -> messages.Exemplar:
    message = messages.Exemplar(image=image_message(exemplar.picture, "rgb8", Header()))
    if exemplar.mask is not None:
        message.mask = image_message(exemplar.mask.astype(np.uint8) * 255, "mono8", Header())
    return message
