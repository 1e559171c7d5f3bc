"""Image files of ground truth: images as RGB, and label images with their values unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from zs_seg_ros.errors import EvaluationError, FileError
from zs_seg_ros.files import open_regular_file
from zs_seg_ros.shown import described, shown
from zs_seg_ros.types import RgbImage
from zs_seg_ros.vocabulary.vocabulary import MAX_PIXELS

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def read_rgb(path: Path) -> RgbImage:
    """Read an image as (H, W, 3) uint8 RGB, rotated by its EXIF orientation. Raises EvaluationError."""
    return np.asarray(ImageOps.exif_transpose(_opened(path)).convert("RGB"))


def read_pixels(path: Path) -> NDArray[Any]:
    """Read a label image as (H, W) values or palette indices, or (H, W, 3) colours. Raises EvaluationError."""
    image = _opened(path)
    if image.mode in ("RGBA", "CMYK", "YCbCr"):
        image = image.convert("RGB")
    if image.mode in ("1", "F", "LA", "PA"):
        raise EvaluationError(
            f"the label image {shown(str(path), 300)} has pixels of the kind {image.mode}: store ids in 8 or 16 bits, "
            "or colours"
        )
    return np.asarray(image)


def _opened(path: Path) -> Image.Image:
    name = shown(str(path), 300)
    try:
        with open_regular_file(path) as file, Image.open(file) as image:
            if image.width * image.height > MAX_PIXELS:
                raise EvaluationError(
                    f"the image {name} has {image.width}x{image.height} pixels, more than the {MAX_PIXELS} that are "
                    "read: make it smaller"
                )
            image.load()
            return image.copy()
    except FileNotFoundError as error:
        raise EvaluationError(f"there is no image {name}; check the path") from error
    except (FileError, EvaluationError):
        raise
    except Exception as error:  # Pillow's decoders raise exceptions of many types
        raise EvaluationError(
            f"the image {name} cannot be read ({described(error)}): convert it to PNG or JPEG"
        ) from error
