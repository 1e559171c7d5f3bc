# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Images and masks that the page sends: limited in bytes and pixels before they are decoded."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from zs_seg_ros.errors import ImageError, StudioError
from zs_seg_ros.images.image_files import image_of_file
from zs_seg_ros.images.image_limits import DEFAULT_IMAGE_LIMITS
from zs_seg_ros.perception.masks import decode_runs, full_mask
from zs_seg_ros.types import Box, RgbImage, size_of

_FORMATS = ("JPEG", "PNG", "WebP")
_MOST_RUNS = 1 << 20


def image_of(data: bytes | None, width: Any = None, height: Any = None) -> NDArray[np.uint8]:
    """Return the (H, W, 3) uint8 image of a JPEG, PNG or WebP file, resized to a size if one is given.

    The page has smaller copies of large images; masks, points and boxes are in pixels of the camera's image. Raises
    StudioError for other data, and for images with more pixels than a node reads.
    """
    if not data:
        raise StudioError("the request has no image: load the page again")
    size = None if width is None and height is None else (_side(width), _side(height))
    try:
        if size is not None:
            DEFAULT_IMAGE_LIMITS.check(*size)
        with PIL.Image.open(io.BytesIO(data), formats=_FORMATS) as header:
            DEFAULT_IMAGE_LIMITS.check(*header.size)
        decoded = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except ImageError as error:
        raise StudioError(str(error)) from error
    except Exception as error:  # the decoders raise exceptions of many types
        raise StudioError("the file is no image: give JPEG, PNG or WebP") from error
    if decoded is None:
        raise StudioError("the image is damaged: give another one")
    if size is not None and decoded.shape[1::-1] != size:
        decoded = cv2.resize(decoded, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def photo_of(data: bytes | None) -> RgbImage:
    """Return the (H, W, 3) image of a JPEG, PNG or WebP file, rotated by its EXIF orientation: uint16 of 16-bit grey.

    Raises StudioError for other data, and for images with more pixels than a node reads.
    """
    try:
        return image_of_file(data or b"", _FORMATS)
    except ImageError as error:
        raise StudioError(str(error)) from error


def box_of(value: Any, image: RgbImage) -> Box | None:
    """Return the box that the page sends, [left, top, width, height]; None for null.

    Raises StudioError for one that is not inside the image.
    """
    if value is None:
        return None
    match value:
        case [int(left), int(top), int(width), int(height)]:
            pass
        case _:
            raise StudioError("a box must be four whole numbers: load the page again")
    rows, columns = size_of(image)
    if not (0 <= left < left + width <= columns and 0 <= top < top + height <= rows):
        raise StudioError(f"a box lies outside the image of {columns}x{rows}: mark it again")
    return Box(left, top, width, height)


def mask_of(message: Mapping[str, Any], runs: bytes | None, image: RgbImage) -> NDArray[np.bool_]:
    """Return the (H, W) mask of a box and, where there are any, run lengths in it. Raises StudioError."""
    box = box_of(message.get("box"), image)
    if box is None:
        raise StudioError("the request has no box: mark the object again")
    inside = np.ones((box.height, box.width), np.bool_)
    if runs:
        if len(runs) % 4 or len(runs) > 4 * _MOST_RUNS:
            raise StudioError("the run lengths of a mask are damaged: mark the object again")
        try:
            inside = decode_runs(np.frombuffer(runs, "<u4"), box.height, box.width)
        except ImageError as error:
            raise StudioError(str(error)) from error
    return full_mask(inside, box, size_of(image))


def _side(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise StudioError("the size of an image must be whole numbers: load the page again")
    return value
