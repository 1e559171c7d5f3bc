"""Image files: the ones to segment, the outputs of each, reading and writing."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from zs_seg_ros.errors import FileError, ImageError, ZeroShotSegmentationError
from zs_seg_ros.files import open_regular_file, write_output
from zs_seg_ros.shown import described
from zs_seg_ros.types import RgbImage, check_image
from zs_seg_ros.vocabulary.vocabulary import MAX_PIXELS

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""The files used from a folder; an image named by itself may have any format that Pillow reads."""


@dataclass(frozen=True)
class ImageJob:
    """An image to read, and the PNG files to write for it; None: not requested."""

    image: Path
    overlay: Path | None
    label: Path | None


def plan_jobs(
    images: Sequence[Path], overlay: Path | None, label: Path | None
) -> tuple[ImageJob, ...]:
    """Return one job per image; a folder gives all its images, in the order of their names.

    overlay and label name a PNG file for one image, a folder otherwise. Raises
    ZeroShotSegmentationError when a folder holds no image, and when a file would be written
    twice or over an image.
    """
    files = tuple(file for path in images for file in _files_of(path))
    several = are_several(images)
    jobs = tuple(
        ImageJob(file, _target(overlay, file, several), _target(label, file, several))
        for file in files
    )
    used = {file.resolve() for file in files}
    for target in (target for job in jobs for target in (job.overlay, job.label) if target):
        if target.resolve() in used:
            raise ZeroShotSegmentationError(
                f"{target} is an image to read, or would be written twice; give outputs names and "
                "folders of their own"
            )
        used.add(target.resolve())
    return jobs


def are_several(images: Sequence[Path]) -> bool:
    """Return whether outputs are folders and lists, as for several paths or a folder."""
    return len(images) > 1 or images[0].is_dir()


def read_image(path: Path, most_pixels: int = MAX_PIXELS) -> RgbImage:
    """Read an image, rotated by its EXIF orientation: (H, W, 3) RGB; uint16 from 16-bit grey, else uint8.

    Raises ImageError when it cannot be read, or its header claims more than `most_pixels` pixels: a file of a few
    hundred bytes can claim millions, so it is not decoded then.
    """
    try:
        with open_regular_file(path) as stream, Image.open(stream) as opened:
            _check_size(opened, most_pixels)
            image = _as_rgb(ImageOps.exif_transpose(opened))
        check_image(image)
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
    return image


def write_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write (H, W, 3) uint8 RGB, or (H, W) uint8 or uint16; create the folder.

    An existing regular file is replaced; another kind of file is refused. Raises ZeroShotSegmentationError
    where the file cannot be written.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_output(path, file.getvalue())
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


def _target(output: Path | None, image: Path, several: bool) -> Path | None:
    if output is None:
        return None
    is_png = output.suffix.lower() == ".png"
    if output.is_dir() or (several and not is_png):
        return output / f"{image.stem}.png"
    if several:
        raise ZeroShotSegmentationError(f"{output} is one file; name a folder for several images")
    if not is_png:
        raise ZeroShotSegmentationError(f"{output} must end in .png, the format that is written")
    return output


def _check_size(image: Image.Image, most_pixels: int) -> None:
    width, height = image.size
    if width * height > most_pixels:
        raise ImageError(
            f"it has {width}x{height} pixels, more than the {most_pixels} that are read; make it smaller, or raise "
            "--max-image-pixels"
        )


def _as_rgb(image: Image.Image) -> RgbImage:
    if image.mode.startswith("I"):  # 16 bits; older Pillow calls them "I", 32 bits
        grey = np.asarray(image).clip(0, 65535).astype(np.uint16)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode == "F":
        raise ImageError("floating point pixels have no known range; convert it to 8 or 16 bits")
    return np.asarray(image.convert("RGB"))
