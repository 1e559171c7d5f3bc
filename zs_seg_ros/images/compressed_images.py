"""Compressed images: JPEG and PNG, and image_transport's compressedDepth; messages as in `image_reading`."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.message_images import DEPTH_ITEMS, check_sides
from zs_seg_ros.types import MAX_SIDE_PX, RgbImage

_DEPTH_COMPRESSIONS = ("", "compressedDepth", "compressedDepth png", "compressedDepth rvl")
_DEPTH_HEADER_BYTES = 12
_TOO_LARGE = (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning)


def image_from_compressed(message: Any, max_side: int = MAX_SIDE_PX) -> RgbImage:
    """(H, W, 3) RGB of a JPEG or PNG. Raises ImageError when it cannot be decoded or is larger than `max_side`."""
    # Orientation in EXIF would turn the image away from its camera_info.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    bgr = _decoded(message, memoryview(message.data), flags, max_side)
    image: RgbImage = np.asarray(bgr, dtype=np.uint8)[..., ::-1]
    return image


def depth_from_compressed(message: Any, max_side: int = MAX_SIDE_PX) -> NDArray[Any]:
    """(H, W) of image_transport's compressedDepth, PNG or RVL: uint16 (millimetres) or float32 (metres).

    Its layout is that of compressed_depth_image_transport: a header of a whole number and two reals, and 16-bit
    values, of which those of 32FC1 are inverse depth. Raises ImageError when it cannot be decoded.
    """
    encoding, _, how = (part.strip() for part in message.format.partition(";"))
    if (
        encoding not in DEPTH_ITEMS
        or how not in _DEPTH_COMPRESSIONS
        or len(message.data) < _DEPTH_HEADER_BYTES
    ):
        raise ImageError(
            f"a compressed depth image of {len(message.data)} bytes with the format {message.format!r} is dropped; "
            "publish 16UC1 or 32FC1 with image_transport's compressedDepth, png or rvl"
        )
    data = memoryview(message.data)
    if how.endswith("rvl"):
        values = _from_rvl(data[_DEPTH_HEADER_BYTES:], max_side)
    else:
        values = _decoded(message, data[_DEPTH_HEADER_BYTES:], cv2.IMREAD_UNCHANGED, max_side)
        if values.ndim != 2 or values.dtype != np.uint16:
            raise ImageError(
                f"a compressed depth image is dropped: its PNG has {values.shape} items of {values.dtype}, not 16 "
                "bits and one channel"
            )
    if DEPTH_ITEMS[encoding] == "u2":
        return values
    scale, offset = np.frombuffer(data, "<f4", 2, offset=4)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        metres = scale / (values.astype(np.float32) - offset)
    return np.where(values > 0, metres, np.float32(np.nan))


def _decoded(message: Any, data: memoryview, flags: int, max_side: int) -> NDArray[Any]:
    """What OpenCV makes of a JPEG or PNG. Its header is read first: a few bytes can claim to be gigabytes."""
    try:
        with PIL.Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as header:
            width, height = header.size
            check_sides(width, height, max_side)
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (OSError, ValueError, SyntaxError, cv2.error, *_TOO_LARGE):
        pixels = None
    if pixels is None:
        raise ImageError(
            f"a compressed image of {len(data)} bytes ({message.format!r}) is dropped: it is neither JPEG nor "
            "PNG, damaged, or far too large"
        )
    return np.asarray(pixels)


def _from_rvl(data: memoryview, max_side: int) -> NDArray[np.uint16]:
    """(H, W) of RVL (Wilson 2017, "Fast lossless depth image compression"), as image_transport writes it.

    A stream of whole numbers, each in nibbles of three bits and one that says whether another follows: how many zeros,
    how many others, and for each of those the difference to the one before it.
    """
    damaged = ImageError(
        f"a compressed depth image of {len(data)} bytes is dropped: its RVL is damaged"
    )
    if len(data) < 8:
        raise damaged
    width, height = (int(side) for side in np.frombuffer(data, "<u4", 2))
    check_sides(width, height, max_side)
    words = np.frombuffer(data, "<u4", (len(data) - 8) // 4, offset=8)
    nibbles = (words[:, None] >> np.arange(28, -1, -4, dtype=np.uint32) & 15).ravel()
    last = nibbles < 8
    first = np.flatnonzero(np.concatenate([[True], last[:-1]])) if nibbles.size else nibbles
    place = np.arange(nibbles.size) - np.repeat(first, np.diff(first, append=nibbles.size))
    if place.size and place.max() > 9:  # more than 30 bits
        raise damaged
    numbers = (
        np.add.reduceat((nibbles & 7).astype(np.int64) << 3 * place, first) if first.size else first
    )
    values = np.zeros(width * height, np.int64)
    done = read = 0
    runs = []
    while done < values.size:
        if read + 2 > numbers.size:
            raise damaged
        zeros, others = int(numbers[read]), int(numbers[read + 1])
        start, done = done + zeros, done + zeros + others
        if zeros + others == 0 or done > values.size or read + 2 + others > numbers.size:
            raise damaged
        runs.append((start, numbers[read + 2 : read + 2 + others]))
        read += 2 + others
    before = 0
    for start, coded in runs:
        found = before + np.cumsum((coded >> 1) ^ -(coded & 1))
        values[start : start + len(coded)] = found
        before = int(found[-1]) if len(found) else before
    return (values & 0xFFFF).astype(np.uint16).reshape(height, width)
