# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Image files → images as RGB, and label images with their values unchanged."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from zs_seg_ros.errors import FileError, ImageError
from zs_seg_ros.files import open_regular_file
from zs_seg_ros.shown import described
from zs_seg_ros.types import RgbImage, check_image
from zs_seg_ros.vocabulary.vocabulary import MAX_PIXELS

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""The files used from a folder; an image named by itself may have any format that Pillow reads."""


def read_image(
    path: Path, most_pixels: int = MAX_PIXELS, remedy: str = "make it smaller"
) -> RgbImage:
    """Read an image, rotated by its EXIF orientation: (H, W, 3) RGB; uint16 from 16-bit grey, else uint8.

    Raises ImageError when it cannot be read, or its header claims more than `most_pixels` pixels: a file of a few
    hundred bytes can claim millions, so it is not decoded then. remedy: what to do about that.
    """
    return _read(path, most_pixels, remedy, _as_rgb)


def image_of_file(data: bytes, formats: Sequence[str]) -> RgbImage:
    """Return the image of the bytes of a file, as `read_image` does. formats: those of Pillow that are read.

    Raises ImageError for other bytes, and for images with too many pixels, which are not decoded.
    """
    try:
        with Image.open(io.BytesIO(data), formats=tuple(formats)) as opened:
            _check_size(opened, MAX_PIXELS, "make it smaller")
            return _as_rgb(opened)
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise exceptions of many types
        raise ImageError(
            f"the file is no image, or is damaged: give {', '.join(formats[:-1])} or {formats[-1]}"
        ) from error


def read_label_image(path: Path) -> NDArray[Any]:
    """Read (H, W) values or palette indices, or (H, W, 3) colours. Raises ImageError as `read_image` does."""
    return _read(path, MAX_PIXELS, "make it smaller", _as_values)


def _read(
    path: Path, most_pixels: int, remedy: str, convert: Callable[[Image.Image], NDArray[Any]]
) -> NDArray[Any]:
    try:
        with open_regular_file(path) as stream, Image.open(stream) as opened:
            _check_size(opened, most_pixels, remedy)
            return convert(opened)
    except FileNotFoundError as error:
        raise ImageError(f"there is no image {path}; check the path") from error
    except FileError as error:
        raise ImageError(str(error)) from error
    except ImageError as error:
        raise ImageError(f"{path} cannot be read: {error}") from error
    except Exception as error:  # Pillow's decoders raise exceptions of many types
        raise ImageError(
            f"{path} cannot be read as an image ({described(error)}); convert it to PNG or JPEG"
        ) from error


def _check_size(opened: Image.Image, most_pixels: int, remedy: str) -> None:
    width, height = opened.size
    if width * height > most_pixels:
        raise ImageError(
            f"it has {width}x{height} pixels, more than the {most_pixels} that are read; {remedy}"
        )


def _as_rgb(opened: Image.Image) -> RgbImage:
    image = ImageOps.exif_transpose(opened)
    pixels: RgbImage
    if image.mode.startswith("I"):  # 16 bits; older Pillow calls them "I", 32 bits
        grey = np.asarray(image).clip(0, 65535).astype(np.uint16)
        pixels = np.repeat(grey[..., None], 3, axis=2)
    elif image.mode == "F":
        raise ImageError("floating point pixels have no known range; convert it to 8 or 16 bits")
    else:
        pixels = np.asarray(image.convert("RGB"))
    check_image(pixels)
    return pixels


def _as_values(image: Image.Image) -> NDArray[Any]:
    if image.mode in ("RGBA", "CMYK", "YCbCr"):
        image = image.convert("RGB")
    if image.mode in ("1", "F", "LA", "PA"):
        raise ImageError(
            f"its pixels are of the kind {image.mode}; store ids in 8 or 16 bits, or colours"
        )
    return np.asarray(image)
