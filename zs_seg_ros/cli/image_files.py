"""Images on disk: which ones are meant, how they are read, and where results go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from zs_seg_ros.errors import ImageError, ZeroShotSegmentationError
from zs_seg_ros.types import RgbImage, check_image

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""What is taken from a folder; an image named by itself may be of any kind that Pillow reads."""


@dataclass(frozen=True)
class ImageJob:
    """An image to read, and the PNG files to write for it; None: not wanted."""

    image: Path
    overlay: Path | None
    label: Path | None


def plan_jobs(
    images: Sequence[Path], overlay: Path | None, label: Path | None
) -> tuple[ImageJob, ...]:
    """One job per image, folders replaced by the images in them in the order of their names.

    overlay and label name a PNG file for one image, a folder otherwise. Raises
    ZeroShotSegmentationError when a folder holds no image, and when a file would be written
    twice or over an image.
    """
    files = tuple(file for path in images for file in _files_of(path))
    one = not are_several(images)
    jobs = tuple(
        ImageJob(file, _target(overlay, file, one), _target(label, file, one)) for file in files
    )
    taken = {file.resolve() for file in files}
    for target in (target for job in jobs for target in (job.overlay, job.label) if target):
        if target.resolve() in taken:
            raise ZeroShotSegmentationError(
                f"{target} is an image to read, or would be written twice; give outputs names and "
                "folders of their own"
            )
        taken.add(target.resolve())
    return jobs


def are_several(images: Sequence[Path]) -> bool:
    """Whether outputs are folders and lists: for several paths, and for a folder always."""
    return len(images) > 1 or images[0].is_dir()


def read_image(path: Path) -> RgbImage:
    """(H, W, 3) RGB, turned as its EXIF orientation says; uint16 from 16-bit grey, else uint8.

    Raises ImageError when it cannot be read.
    """
    try:
        with Image.open(path) as opened:
            image = _as_rgb(ImageOps.exif_transpose(opened))
        check_image(image)
    except FileNotFoundError as error:
        raise ImageError(f"there is no image {path}; check the path") from error
    except ImageError as error:
        raise ImageError(f"{path} cannot be read: {error}") from error
    except Exception as error:  # Pillow's readers raise many kinds
        raise ImageError(
            f"{path} cannot be read as an image ({str(error) or type(error).__name__}); "
            "convert it to PNG or JPEG"
        ) from error
    return image


def write_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write (H, W, 3) uint8 RGB, or (H, W) uint8 or uint16, and make its folder.

    Raises ZeroShotSegmentationError when that is not possible.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, format="PNG")
    except OSError as error:
        raise ZeroShotSegmentationError(
            f"{path} cannot be written ({error.strerror or error}); choose another place"
        ) from error


def _files_of(path: Path) -> tuple[Path, ...]:
    if not path.is_dir():
        return (path,)
    files = tuple(sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()))
    if not files:
        raise ZeroShotSegmentationError(
            f"the folder {path} holds no image ({', '.join(sorted(SUFFIXES))})"
        )
    return files


def _target(place: Path | None, image: Path, one: bool) -> Path | None:
    if place is None:
        return None
    is_png = place.suffix.lower() == ".png"
    if place.is_dir() or not (one or is_png):
        return place / f"{image.stem}.png"
    if not one:
        raise ZeroShotSegmentationError(f"{place} is one file; name a folder for several images")
    if not is_png:
        raise ZeroShotSegmentationError(f"{place} must end in .png, the format that is written")
    return place


def _as_rgb(image: Image.Image) -> RgbImage:
    if image.mode.startswith("I"):  # 16 bits; older Pillow calls them "I", 32 bits
        grey = np.asarray(image).clip(0, 65535).astype(np.uint16)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode == "F":
        raise ImageError("floating point pixels have no known range; convert it to 8 or 16 bits")
    return np.asarray(image.convert("RGB"))
