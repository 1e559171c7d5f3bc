# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Encodings of sensor_msgs/Image → RGB: channel orders as views, Bayer mosaics and YUV by OpenCV's conversions.

Names and layouts are those of sensor_msgs/image_encodings.hpp. Encodings of OpenCV's type names (8UC3, 16UC3 …), which
cv_bridge's cv2_to_imgmsg writes by default, have OpenCV's channel order, blue first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import ImageError

Bytes = NDArray[np.uint8]

NEUTRAL_CHROMA = 128


@dataclass(frozen=True)
class PlainEncoding:
    """An encoding of interleaved pixels, each of `channels` numbers of `item` type ('u1' or 'u2').

    rgb: the slice of channels that is red, green, blue; None for grey.
    """

    item: str
    channels: int
    rgb: slice | None


_RGB, _BGR = slice(0, 3), slice(2, None, -1)

PLAIN = {
    "rgb8": PlainEncoding("u1", 3, _RGB),
    "bgr8": PlainEncoding("u1", 3, _BGR),
    "rgba8": PlainEncoding("u1", 4, _RGB),
    "bgra8": PlainEncoding("u1", 4, _BGR),
    "mono8": PlainEncoding("u1", 1, None),
    "mono16": PlainEncoding("u2", 1, None),
    "rgb16": PlainEncoding("u2", 3, _RGB),
    "bgr16": PlainEncoding("u2", 3, _BGR),
    "rgba16": PlainEncoding("u2", 4, _RGB),
    "bgra16": PlainEncoding("u2", 4, _BGR),
    "8UC1": PlainEncoding("u1", 1, None),
    "8UC3": PlainEncoding("u1", 3, _BGR),
    "8UC4": PlainEncoding("u1", 4, _BGR),
    "16UC3": PlainEncoding("u2", 3, _BGR),
    "16UC4": PlainEncoding("u2", 4, _BGR),
}
"""Encodings that are read in place, as a view on the message's bytes."""

# These names give the colours of the first row; OpenCV's older names give those of the second.
_BAYER = {
    "rggb": cv2.COLOR_BayerRGGB2RGB,
    "bggr": cv2.COLOR_BayerBGGR2RGB,
    "gbrg": cv2.COLOR_BayerGBRG2RGB,
    "grbg": cv2.COLOR_BayerGRBG2RGB,
}
_SMALLEST_MOSAIC = 3


@dataclass(frozen=True)
class RawImage:
    """The fields of an Image message that its pixels depend on. data: (n,) uint8."""

    height: int
    width: int
    encoding: str
    big_endian: bool
    step: int
    data: Bytes


def mosaic_to_rgb(raw: RawImage) -> NDArray[Any]:
    """Demosaic a Bayer image bilinearly: (H, W, 3), uint8 or uint16.

    Raises ImageError for a side of less than 3 pixels, from which no colour can be interpolated.
    """
    if min(raw.height, raw.width) < _SMALLEST_MOSAIC:
        raise ImageError(
            f"an image of {raw.width}x{raw.height} {raw.encoding} is dropped: a Bayer mosaic has sides of at least "
            f"{_SMALLEST_MOSAIC} pixels"
        )
    pattern, bits = raw.encoding[6:10], raw.encoding[10:]
    item = np.dtype("u1" if bits == "8" else ">u2" if raw.big_endian else "<u2")
    row = item.itemsize * raw.width
    mosaic = _rows(raw, 0, raw.height, row, raw.step).view(item)
    native = np.ascontiguousarray(mosaic, dtype=item.newbyteorder("="))
    return cv2.cvtColor(native, _BAYER[pattern])


def packed_yuv_to_rgb(raw: RawImage) -> NDArray[Any]:
    """Convert 4:2:2 YUV, two bytes a pixel, two pixels sharing their chroma: (H, W, 3) uint8.

    The last pixel of a row of odd width shares the second chroma value with the pixel before it.
    """
    chroma_first = raw.encoding in ("uyvy", "yuv422")
    rows = _rows(raw, 0, raw.height, 2 * raw.width, raw.step).reshape(raw.height, raw.width, 2)
    if raw.width % 2:
        last = rows[:, -1:].copy()
        chroma = 0 if chroma_first else 1
        last[..., chroma] = rows[:, -2:-1, chroma] if raw.width > 1 else NEUTRAL_CHROMA
        rows = np.concatenate([rows, last], axis=1)
    code = cv2.COLOR_YUV2RGB_UYVY if chroma_first else cv2.COLOR_YUV2RGB_YUY2
    return cv2.cvtColor(np.ascontiguousarray(rows), code)[:, : raw.width]


def planar_yuv_to_rgb(raw: RawImage) -> NDArray[Any]:
    """Convert a plane of luma followed by a plane of interleaved chroma: (H, W, 3) uint8.

    nv12, nv21: chroma of half the size, rounded up; nv24: of full size. Rows of chroma are as far apart as those of
    luma, and twice as far for nv24.
    """
    full = raw.encoding == "nv24"
    chroma_height = raw.height if full else -(-raw.height // 2)
    chroma_width = raw.width if full else -(-raw.width // 2)
    chroma_step = max((2 if full else 1) * raw.step, 2 * chroma_width)
    luma = _rows(raw, 0, raw.height, raw.width, raw.step)
    chroma = _rows(raw, raw.step * raw.height, chroma_height, 2 * chroma_width, chroma_step)
    # OpenCV converts 4:2:0 of even sizes; 4:4:4 becomes that when each pixel is repeated twice each way.
    repeat = 2 if full else 1
    even = (2 * chroma_height, 2 * chroma_width)
    if full:
        luma = luma.repeat(2, axis=0).repeat(2, axis=1)
    luma = np.pad(
        luma, [(0, size - have) for size, have in zip(even, luma.shape, strict=True)], "edge"
    )
    code = cv2.COLOR_YUV2RGB_NV21 if raw.encoding == "nv21" else cv2.COLOR_YUV2RGB_NV12
    rgb = cv2.cvtColor(np.concatenate([luma, chroma]), code)
    return rgb[::repeat, ::repeat][: raw.height, : raw.width]


def _rows(raw: RawImage, start: int, count: int, length: int, step: int) -> Bytes:
    """View (count, length) of the bytes from `start`, rows `step` apart. Raises ImageError if they do not fit."""
    needed = start + step * (count - 1) + length
    if step < length or len(raw.data) < needed:
        raise ImageError(
            f"an image of {raw.width}x{raw.height} {raw.encoding} is dropped: its step of {raw.step} bytes and its "
            f"{len(raw.data)} bytes of data are too few, {needed} bytes are needed; the publisher truncates it"
        )
    rows: Bytes = np.ndarray((count, length), np.uint8, raw.data, start, (step, 1))
    return rows


CONVERTED: dict[str, Callable[[RawImage], NDArray[Any]]] = {
    **{f"bayer_{pattern}{bits}": mosaic_to_rgb for pattern in _BAYER for bits in (8, 16)},
    **dict.fromkeys(("uyvy", "yuv422", "yuyv", "yuv422_yuy2"), packed_yuv_to_rgb),
    **dict.fromkeys(("nv12", "nv21", "nv24"), planar_yuv_to_rgb),
}
"""Encodings that are converted into new arrays."""

DEPTH = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}
"""Encodings of depth images (REP 118): millimetres as uint16, metres as float32."""
