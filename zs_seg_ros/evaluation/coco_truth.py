# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Ground truth from a COCO file: instances as polygons or run lengths, and stuff in the same form.

The format is that of https://cocodataset.org/#format-data, which most annotation tools export. `zs-seg label --format
coco` writes it, too.
"""

from __future__ import annotations

import importlib
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import EvaluationError
from zs_seg_ros.evaluation.truth import (
    IGNORED,
    Truth,
    TruthFrame,
    TruthObject,
    errors_as_evaluation_errors,
)
from zs_seg_ros.files import read_regular_file
from zs_seg_ros.images.image_files import read_image
from zs_seg_ros.optional_packages import install_command
from zs_seg_ros.shown import described, quoted, shown
from zs_seg_ros.vocabulary.vocabulary import TargetClass

_MOST_BYTES = 2 << 30
"""The annotations of COCO's training images have 0.45 GB."""


def coco_tools(module: str) -> Any:
    """Import a module of pycocotools. Raises EvaluationError where it is not installed."""
    try:
        return importlib.import_module(f"pycocotools.{module}")
    except ImportError as error:
        raise EvaluationError(
            "COCO files and average precision need pycocotools, which is not installed; run: "
            f"{install_command('pycocotools')} ({shown(error)})"
        ) from error


class CocoTruth(Truth):
    """The images and annotations of a COCO file."""

    def __init__(self, path: Path, images: Path) -> None:
        """Read the file. images: the folder of the images. Raises EvaluationError and FileError."""
        self._tools = coco_tools("mask")
        self._folder = images
        self._path = path
        try:
            content = json.loads(read_regular_file(path, _MOST_BYTES))
            categories = {_whole(c["id"]): _text(c["name"]) for c in content["categories"]}
            self._images = [
                (_whole(i["id"]), _text(i["file_name"]), _whole(i["height"]), _whole(i["width"]))
                for i in content["images"]
            ]
            annotations: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
            for annotation in content["annotations"]:
                annotations[_whole(annotation["image_id"])].append(annotation)
        except FileNotFoundError as error:
            raise EvaluationError(f"there is no file {path}; check the path") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise EvaluationError(
                f"{path} is no COCO file ({described(error)}): it needs images, categories and annotations"
            ) from error
        self._annotations = annotations
        self._numbers = {category: number for number, category in enumerate(categories, 1)}
        self.classes = tuple(map(TargetClass, categories.values()))
        self.separates_objects = True

    def __len__(self) -> int:
        return len(self._images)

    def frames(self, every: int = 1) -> Iterator[TruthFrame]:
        for image_id, name, height, width in self._images[::every]:
            with errors_as_evaluation_errors():
                image = read_image(self._folder / name)
            objects = tuple(
                self._object(annotation, name, (height, width))
                for annotation in self._annotations[image_id]
            )
            yield TruthFrame(name, image, _label(objects, (height, width)), objects)

    def _object(self, annotation: dict[str, Any], name: str, size: tuple[int, int]) -> TruthObject:
        try:
            number = self._numbers[annotation["category_id"]]
            runs = self._runs(annotation["segmentation"], size)
            mask = np.asarray(self._tools.decode(runs), np.bool_)
        except Exception as error:  # pycocotools raises bare exceptions
            raise EvaluationError(
                f"{self._path} has an annotation of {quoted(name)} that cannot be read ({described(error)}): correct "
                "it, or take it out"
            ) from error
        if mask.shape != size:
            raise EvaluationError(
                f"{self._path} has a mask of {mask.shape[1]}x{mask.shape[0]} pixels for {quoted(name)}, which has "
                f"{size[1]}x{size[0]}: export the file again"
            )
        return TruthObject(number, mask, bool(annotation.get("iscrowd", 0)))

    def _runs(self, segmentation: Any, size: tuple[int, int]) -> Any:
        """Return run lengths as pycocotools stores them, from polygons, a list of lengths or a compressed text."""
        if isinstance(segmentation, list):
            if not segmentation:
                raise ValueError("it has no polygon")
            return self._tools.merge(self._tools.frPyObjects(segmentation, *size))
        if isinstance(segmentation["counts"], list):
            if sum(segmentation["counts"]) != size[0] * size[1]:
                raise ValueError("its run lengths do not add up to the pixels of the image")
            return self._tools.frPyObjects(segmentation, *size)
        return segmentation


def _label(objects: tuple[TruthObject, ...], size: tuple[int, int]) -> NDArray[np.uint16]:
    """Paint the objects, crowds first and then the largest first, so that an object on another one is visible."""
    label = np.zeros(size, np.uint16)
    for shown_object in sorted(objects, key=lambda o: (not o.crowd, -np.count_nonzero(o.mask))):
        label[shown_object.mask] = IGNORED if shown_object.crowd else shown_object.number
    return label


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        raise ValueError(f"{quoted(value)} is no whole number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{quoted(value)} is no text")
    return value
