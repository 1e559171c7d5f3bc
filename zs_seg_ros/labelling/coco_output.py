# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Writes the images, label images and COCO JSON of a labelled bag.

OUT/images/CAM/000001.png (.jpg: the recorded bytes), OUT/labels/CAM/000001.png, OUT/annotations.json.
"""

from __future__ import annotations

import heapq
import json
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.bags.bag import Bag, BagMessage
from zs_seg_ros.images.compressed_images import image_from_compressed
from zs_seg_ros.images.message_images import image_from_message, stamp_ns, values_from_image
from zs_seg_ros.labelling.messages import IMAGE, detected_objects, message_types
from zs_seg_ros.labelling.plan import LabelledCamera
from zs_seg_ros.labelling.results import LabelledFrame
from zs_seg_ros.perception.masks import encode_runs, full_mask
from zs_seg_ros.types import DetectedObject, RgbImage
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

ANNOTATIONS = "annotations.json"
_JPEG_START = b"\xff\xd8"
_Timed = tuple[int, BagMessage | LabelledFrame]


def write_coco(
    folder: Path,
    bag: Bag,
    cameras: Sequence[LabelledCamera],
    vocabulary: Vocabulary,
    results: Iterable[LabelledFrame],
) -> Iterator[None]:
    """Write the data set into the new folder `folder`. Yields after each image of the bag."""
    folder.mkdir(parents=True)
    pending: dict[str, deque[BagMessage]] = {c.image: deque() for c in cameras}
    images: Iterator[_Timed] = ((m.time_ns, m) for m in bag.messages(pending))
    labelled: Iterator[_Timed] = ((r.time_ns + 1, r) for r in results)
    with _DataSetWriter(folder, vocabulary) as data_set:
        for _, item in heapq.merge(images, labelled, key=itemgetter(0)):
            if isinstance(item, BagMessage):
                pending[item.topic.name].append(item)
                yield
            else:
                message = _image_of(item, pending[item.camera.image])
                data_set.add(item, message)


def _image_of(result: LabelledFrame, pending: deque[BagMessage]) -> BagMessage:
    """Remove and return the image of a result. Images before it could not be read and have no result."""
    stamp = result.objects.header.stamp
    while pending:
        message = pending.popleft()
        if message.time_ns == result.time_ns and message.content.header.stamp == stamp:
            return message
    raise AssertionError("a result without its image")


class _DataSetWriter:
    """Writes images one by one, and two files of entries that are joined to one JSON file at the end."""

    def __init__(self, folder: Path, vocabulary: Vocabulary) -> None:
        self._folder = folder
        self._vocabulary = vocabulary
        self._images = _JsonList(folder / ".images.json")
        self._objects = _JsonList(folder / ".annotations.json")

    def __enter__(self) -> _DataSetWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for part in (self._images, self._objects):
            part.file.close()
        if kind is None:
            self._write_json()

    def add(self, result: LabelledFrame, message: BagMessage) -> None:
        objects = result.objects
        number = self._images.count + 1
        label = message_types().deserialize_cdr(result.label, IMAGE)
        name = f"{result.camera.name}/{number:06}"
        image = self._write_image(result.camera, name, message)
        _write_png(self._folder / "labels" / f"{name}.png", values_from_image(label))
        self._images.add(
            {
                "id": number,
                "file_name": image,
                "label_file_name": f"{name}.png",
                "width": objects.width,
                "height": objects.height,
                "camera": result.camera.name,
                "stamp_ns": stamp_ns(objects.header.stamp),
                "frame_id": objects.header.frame_id,
            }
        )
        size = objects.height, objects.width
        for detected in detected_objects(objects.objects):
            annotation = coco_annotation(
                self._objects.count + 1, number, detected.class_id, detected, size
            )
            also = {"score": round(float(detected.score), 6), "track_id": detected.track_id}
            self._objects.add(annotation | also)

    def _write_image(self, camera: LabelledCamera, name: str, message: BagMessage) -> str:
        """Write an image, the bytes of a recorded JPEG unchanged. Return its file name inside images/."""
        content = message.content
        path = self._folder / "images" / name
        if camera.transport == "raw":
            _write_png(path.with_suffix(".png"), _bgr(image_from_message(content)))
            return f"{name}.png"
        data = bytes(content.data)
        if data.startswith(_JPEG_START):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".jpg").write_bytes(data)
            return f"{name}.jpg"
        _write_png(path.with_suffix(".png"), _bgr(image_from_compressed(content)))
        return f"{name}.png"

    def _write_json(self) -> None:
        vocabulary = self._vocabulary
        categories = [
            {"id": class_id, "name": name, "supercategory": ""}
            for class_id, name in zip(vocabulary.ids, vocabulary.names, strict=True)
        ]
        with (self._folder / ANNOTATIONS).open("w", encoding="utf-8") as out:
            out.write(f'{{"info": {json.dumps({"description": "zs-seg label"})},\n')
            out.write(f'"categories": {json.dumps(categories)},\n"images": [')
            self._images.copy_to(out)
            out.write('],\n"annotations": [')
            self._objects.copy_to(out)
            out.write("]}\n")


@dataclass
class _JsonList:
    """The entries of a JSON list, in a file of their own until they are copied."""

    path: Path
    count: int = 0

    def __post_init__(self) -> None:
        self.file = self.path.open("w", encoding="utf-8")

    def add(self, entry: dict[str, Any]) -> None:
        self.file.write(("," if self.count else "") + "\n" + json.dumps(entry))
        self.count += 1

    def copy_to(self, out: TextIO) -> None:
        with self.path.open(encoding="utf-8") as entries:
            shutil.copyfileobj(entries, out)
        self.path.unlink()


def coco_annotation(
    annotation_id: int,
    image_id: int,
    category_id: int,
    detected: DetectedObject,
    size: tuple[int, int],
) -> dict[str, Any]:
    """Return the COCO annotation of an object in an image of `size` (H, W)."""
    box = detected.box
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [box.left, box.top, box.width, box.height],
        "area": detected.area,
        "segmentation": coco_runs(detected, *size),
        "iscrowd": 0,
    }


def coco_runs(detected: DetectedObject, height: int, width: int) -> dict[str, Any]:
    """Return COCO's uncompressed RLE of the mask: run lengths in the whole image, column by column."""
    mask = full_mask(detected.mask, detected.box, (height, width))
    return {"size": [height, width], "counts": encode_runs(mask.T).tolist()}


def _bgr(image: RgbImage) -> NDArray[Any]:
    return np.ascontiguousarray(image[..., ::-1], image.dtype.newbyteorder("="))


def _write_png(path: Path, pixels: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
