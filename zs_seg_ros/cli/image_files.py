# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Image files: the ones to segment, the outputs of each, and writing."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zs_seg_ros.errors import ZeroShotSegmentationError
from zs_seg_ros.files import write_output
from zs_seg_ros.images.image_files import SUFFIXES


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
