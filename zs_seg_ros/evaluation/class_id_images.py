# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Ground truth from images of class ids or colours: the layouts of Cityscapes, ADE20K, CamVid, Pascal VOC and others.

A YAML file says where they are and what the ids mean:

images: leftImg8bit/val            # a folder, relative to this file, with its subfolders
labels: gtFine/val                 # a folder with the same subfolders
image_suffix: _leftImg8bit.png     # what a name ends in; default: any image
label_suffix: _gtFine_labelIds.png # what takes its place; default: .png
ignore: [0, 255]                   # ids that are not judged; default: none
classes:
  7: road                          # an id, or a colour such as "128,64,128"
  26: {name: car, prompts: [car, van]}

An id that is neither listed nor ignored counts as none of the classes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import EvaluationError, VocabularyError, YamlError
from zs_seg_ros.evaluation.truth import IGNORED, Truth, TruthFrame, errors_as_evaluation_errors
from zs_seg_ros.files import read_regular_file
from zs_seg_ros.images.image_files import SUFFIXES, read_image, read_label_image
from zs_seg_ros.shown import quoted, shown
from zs_seg_ros.user_yaml import MOST_BYTES, parse_user_yaml
from zs_seg_ros.vocabulary.vocabulary import TargetClass
from zs_seg_ros.vocabulary.vocabulary_file import class_of_entry

_ENTRIES = {"images", "labels", "image_suffix", "label_suffix", "ignore", "classes"}
_CLASS_ENTRIES = {"name", "prompts", "threshold"}


class ClassIdImages(Truth):
    """Images beside label images, as a YAML file describes them."""

    separates_objects = False

    def __init__(self, path: Path) -> None:
        """Read the YAML file and list the images. Raises EvaluationError and FileError."""
        self._where = shown(str(path), 300)
        content = self._read(path)
        self._images = self._folder(content, path, "images")
        self._labels = self._folder(content, path, "labels")
        self._image_suffix = self._suffix(content, "image_suffix", "")
        self._label_suffix = self._suffix(content, "label_suffix", ".png")
        entries = content.get("classes")
        if not isinstance(entries, dict) or not entries:
            raise self._wrong("it has no mapping named 'classes' from ids to names")
        self._values = {self._value(key): n for n, key in enumerate(entries, 1)}
        self.classes = tuple(self._target(entry) for entry in entries.values())
        names = [target.name for target in self.classes]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise self._wrong(f"the class {quoted(repeated[0])} occurs twice")
        ignored = content.get("ignore", [])
        if not isinstance(ignored, list):
            raise self._wrong(f"ignore is {quoted(ignored)}, which is no list of ids")
        self._values |= {self._value(key): IGNORED for key in ignored}
        self._files = self._list()

    def __len__(self) -> int:
        return len(self._files)

    def frames(self, every: int = 1) -> Iterator[TruthFrame]:
        for name, label in self._files[::every]:
            with errors_as_evaluation_errors():
                values = read_label_image(self._labels / label)
                image = read_image(self._images / name)
            yield TruthFrame(name, image, numbers(_single(values), self._values))

    # --- the YAML file ---

    def _wrong(self, why: str) -> EvaluationError:
        return EvaluationError(f"{self._where} does not describe ground truth: {why}")

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            content = parse_user_yaml(read_regular_file(path, MOST_BYTES).decode())
        except FileNotFoundError as error:
            raise EvaluationError(f"there is no file {self._where}; check the path") from error
        except UnicodeDecodeError as error:
            raise self._wrong("it is no text in UTF-8") from error
        except YamlError as error:
            raise self._wrong(str(error)) from error
        if not isinstance(content, dict):
            raise self._wrong("it is no mapping with images, labels and classes")
        if unknown := [key for key in content if key not in _ENTRIES]:
            raise self._wrong(f"it has the unknown entry {quoted(unknown[0])}")
        return content

    def _folder(self, content: dict[str, Any], path: Path, key: str) -> Path:
        name = content.get(key)
        if not isinstance(name, str) or not name:
            raise self._wrong(f"{key} is not the name of a folder")
        folder = path.parent / name
        if not folder.is_dir():
            raise self._wrong(f"there is no folder {shown(str(folder), 300)}, which {key} names")
        return folder

    def _suffix(self, content: dict[str, Any], key: str, default: str) -> str:
        suffix = content.get(key, default)
        if not isinstance(suffix, str):
            raise self._wrong(f"{key} is {quoted(suffix)}, which is no text")
        return suffix

    def _value(self, key: Any) -> int:
        """Return an id, or a colour as one number."""
        parts = str(key).split(",")
        if len(parts) not in (1, 3) or not all(p.strip().isdecimal() for p in parts):
            raise self._wrong(f"{quoted(key)} is neither an id nor a colour such as 128,64,128")
        channels = [int(part) for part in parts]
        if max(channels) > (255 if len(parts) == 3 else 65535):
            raise self._wrong(f"{quoted(key)} is above what a pixel can be")
        return channels[0] if len(parts) == 1 else _colour(*channels)

    def _target(self, entry: Any) -> TargetClass:
        if isinstance(entry, dict) and (left := [k for k in entry if k not in _CLASS_ENTRIES]):
            raise self._wrong(f"{quoted(entry)} has the unknown entry {quoted(left[0])}")
        try:
            return class_of_entry(entry, self._where)
        except VocabularyError as error:
            raise EvaluationError(str(error)) from error

    # --- the folders ---

    def _list(self) -> list[tuple[str, str]]:
        """Return the path of each image and its label image, both relative to their folders, in order."""
        pairs = []
        for image in sorted(self._image_names()):
            stem = image.removesuffix(self._image_suffix or PurePosixPath(image).suffix)
            label = stem + self._label_suffix
            if not (self._labels / label).is_file():
                raise EvaluationError(
                    f"the image {shown(image, 300)} has no label image {shown(label, 300)} in "
                    f"{shown(str(self._labels), 300)}: correct image_suffix and label_suffix in {self._where}"
                )
            pairs.append((image, label))
        if not pairs:
            raise EvaluationError(
                f"{shown(str(self._images), 300)} has no image"
                + (
                    f" whose name ends in {quoted(self._image_suffix)}"
                    if self._image_suffix
                    else ""
                )
                + f": correct images or image_suffix in {self._where}"
            )
        return pairs

    def _image_names(self) -> Iterator[str]:
        for folder, _, files in os.walk(self._images):
            for file in files:
                path = Path(folder) / file
                if path.suffix.lower() in SUFFIXES and file.endswith(self._image_suffix):
                    yield path.relative_to(self._images).as_posix()


def numbers(values: NDArray[np.int64], table: dict[int, int]) -> NDArray[np.uint16]:
    """Replace each value of (H, W) by its entry in `table`, 0 without one: (H, W) uint16."""
    keys = np.array(sorted(table), np.int64)
    entries = np.array([table[key] for key in keys.tolist()], np.uint16)
    places = np.searchsorted(keys, values).clip(max=len(keys) - 1)
    return np.where(keys[places] == values, entries[places], 0).astype(np.uint16)


def _colour(red: int, green: int, blue: int) -> int:
    """Return a number for a colour, above every id."""
    return (1 << 24) | (red << 16) | (green << 8) | blue


def _single(pixels: NDArray[Any]) -> NDArray[np.int64]:
    """Return one number for each pixel of (H, W) ids or (H, W, 3) colours."""
    values = pixels.astype(np.int64)
    if values.ndim == 2:
        return values
    return (1 << 24) | (values[..., 0] << 16) | (values[..., 1] << 8) | values[..., 2]
