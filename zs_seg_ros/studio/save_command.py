# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The request that saves a frame as ground truth."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import ImageError, StudioError
from zs_seg_ros.perception.masks import decode_runs
from zs_seg_ros.studio.image_commands import image_in
from zs_seg_ros.studio.labelled_frames import LabelledFrames
from zs_seg_ros.studio.request import Answer, Request
from zs_seg_ros.studio.uploads import box_of
from zs_seg_ros.types import DetectedObject, RgbImage

_MOST_OBJECTS = 1000
_LONGEST_NAME = 300
Named = tuple[str, DetectedObject]


def folder_of(request: Request) -> LabelledFrames:
    """Return the folder that the studio may write into. Raises StudioError where none was given."""
    if request.hub.labelled is None:
        raise StudioError(
            "no folder for labelled frames was given: start the studio with --save FOLDER"
        )
    return request.hub.labelled


async def save(request: Request) -> Answer:
    """Save the image of a request with its objects, as accepted by whoever saw it."""
    labelled = folder_of(request)
    classes = request.message.get("classes")
    if not (isinstance(classes, list) and all(_is_name(name) for name in classes)):
        raise StudioError("the classes of a frame must be names: load the page again")

    def work() -> Answer:
        image = image_in(request)
        runs = request.parts.get("runs", b"")
        if len(runs) % 4:
            raise StudioError("the run lengths of masks are damaged: load the page again")
        lengths = np.frombuffer(runs, "<u4")
        objects = _objects(request.message.get("objects"), lengths, image)
        return {"count": labelled.add(image, objects, classes), "path": str(labelled.annotations)}

    return await asyncio.to_thread(work)


def _objects(entries: Any, lengths: NDArray[np.uint32], image: RgbImage) -> list[Named]:
    if not isinstance(entries, list) or len(entries) > _MOST_OBJECTS:
        raise StudioError(f"objects must be a list of at most {_MOST_OBJECTS}")
    objects: list[Named] = []
    begin = 0
    for entry in entries:
        match entry:
            case {"name": str(name), "box": value, "runs": int(count)} if (
                _is_name(name) and 0 < count <= len(lengths) - begin
            ):
                box = box_of(value, image)
            case _:
                raise StudioError("an object of a frame is damaged: load the page again")
        if box is None:
            raise StudioError("an object of a frame has no box: load the page again")
        try:
            mask = decode_runs(lengths[begin : begin + count], box.height, box.width)
        except ImageError as error:
            raise StudioError(str(error)) from error
        objects.append((name, DetectedObject(0, 1.0, box, mask)))
        begin += count
    return objects


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME
