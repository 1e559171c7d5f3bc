# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A folder of labelled frames, which grows by one with each accepted image of the page: images and COCO annotations.

FOLDER/images/000001.png, FOLDER/annotations.json: what `zs-seg evaluate` and `zs-seg tune` read.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from zs_seg_ros.errors import FileError, StudioError
from zs_seg_ros.files import read_regular_file, write_atomically, write_output
from zs_seg_ros.labelling.coco_output import ANNOTATIONS, coco_annotation
from zs_seg_ros.shown import shown
from zs_seg_ros.types import DetectedObject, RgbImage, size_of

_INFO = {"description": "zs-seg studio"}
_MOST_BYTES = 1 << 28


class LabelledFrames:
    """Adds frames to a folder. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        """Read what the folder has. Raises StudioError for a folder whose annotations are not of this class."""
        self.folder = folder
        self._lock = threading.Lock()
        self._content = self._read()

    @property
    def annotations(self) -> Path:
        """The file of the annotations."""
        return self.folder / ANNOTATIONS

    @property
    def images(self) -> Path:
        """The folder of the images."""
        return self.folder / "images"

    def __len__(self) -> int:
        return len(self._content["images"])

    def add(
        self, image: RgbImage, objects: Sequence[tuple[str, DetectedObject]], classes: Sequence[str]
    ) -> int:
        """Add a frame with the names and masks of its objects, and return the number of frames.

        classes: all names in force, also those without an object: their absence is judged, too. Raises StudioError.
        """
        with self._lock:
            height, width = size_of(image)
            number = len(self) + 1
            name = f"{number:06}.png"
            for each in dict.fromkeys((*classes, *(name for name, _ in objects))):
                self._category(each)
            self._content["images"].append(
                {"id": number, "file_name": name, "width": width, "height": height}
            )
            for class_name, detected in objects:
                annotations = self._content["annotations"]
                category = self._category(class_name)
                annotations.append(
                    coco_annotation(
                        len(annotations) + 1, number, category, detected, (height, width)
                    )
                )
            try:
                self._write(name, image)
            except (OSError, FileError) as error:
                self._content = self._read()
                raise StudioError(f"the frame cannot be saved: {shown(error, 300)}") from error
            return number

    def _category(self, name: str) -> int:
        """Return the id of a class, a new one if it has none yet."""
        categories = self._content["categories"]
        for category in categories:
            if category["name"] == name:
                return int(category["id"])
        categories.append({"id": len(categories) + 1, "name": name, "supercategory": ""})
        return len(categories)

    def _write(self, name: str, image: RgbImage) -> None:
        self.images.mkdir(parents=True, exist_ok=True)
        file = io.BytesIO()
        pixels: NDArray[Any] = image
        Image.fromarray(pixels).save(file, format="PNG")
        write_output(self.images / name, file.getvalue())
        write_atomically(self.annotations, json.dumps(self._content).encode(), _is_ours)

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(read_regular_file(self.annotations, _MOST_BYTES))
        except FileNotFoundError:
            return {"info": _INFO, "categories": [], "images": [], "annotations": []}
        except (ValueError, FileError, RecursionError) as error:
            raise StudioError(
                f"{shown(self.annotations, 300)} cannot be read ({shown(error)}): name another folder"
            ) from error
        if not (isinstance(content, dict) and content.get("info") == _INFO):
            raise StudioError(
                f"{shown(self.annotations, 300)} was not written by the studio and stays as it is: name another folder"
            )
        return content


def _is_ours(path: Path) -> bool:
    try:
        content = json.loads(read_regular_file(path, _MOST_BYTES))
    except (ValueError, OSError, FileError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("info") == _INFO
