# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Requests about one image: segment it, mark an object in it, make it an example, keep the object."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import StudioError
from zs_seg_ros.segmenters.mask_prompts import MarkedPoint, MaskPrompt
from zs_seg_ros.studio.dropped_images import CAMERA
from zs_seg_ros.studio.frames import ShownFrame
from zs_seg_ros.studio.request import Answer, Request
from zs_seg_ros.studio.source import MarkedObject
from zs_seg_ros.studio.uploads import box_of, image_of, mask_of
from zs_seg_ros.studio.vocabularies import classes_from_json
from zs_seg_ros.vocabulary.vocabulary import Exemplar

_MOST_POINTS = 64


def image_in(request: Request) -> NDArray[np.uint8]:
    """Return the image of a request, in pixels of the camera. Raises StudioError."""
    message = request.message
    return image_of(request.parts.get("image"), message.get("width"), message.get("height"))


def _answer(frame: ShownFrame) -> Answer:
    parts = frame.parts
    del parts["image"]  # the page has it
    return frame.header, parts


async def choose(request: Request) -> Answer:
    """Show another image of a camera that is not live."""
    match request.message:
        case {"camera": str(camera), "index": int(index)}:
            await asyncio.to_thread(request.hub.source.choose, camera, index)
            return {}
    raise StudioError("the request has no camera and index: load the page again")


async def drop(request: Request) -> Answer:
    """Add an image file that was dropped onto the page, and return where it is shown."""
    name, data = request.message.get("name"), request.parts.get("file", b"")
    if not isinstance(name, str):
        raise StudioError("the request has no name: load the page again")
    index = await asyncio.to_thread(request.hub.source.add, name, data)
    return {"camera": CAMERA, "index": index}


async def clear_dropped(request: Request) -> Answer:
    """Remove all images that were dropped onto the page."""
    request.hub.source.clear()
    return {}


async def segment(request: Request) -> Answer:
    """Segment the image of a request with its classes, or those of an edition, for this request alone."""
    if "edition" in request.message:
        classes = request.hub.history.edition(request.message["edition"]).vocabulary.classes
    else:
        classes = classes_from_json(request.message.get("classes"), request.hub.exemplars)
    if not classes:
        raise StudioError("this vocabulary has no class: there is nothing to segment")

    against = request.message.get("against") is True
    if against and not request.hub.status.models:
        raise StudioError(
            "there is no second model to compare with: start zs-seg studio with --against MODEL"
        )

    def work() -> Answer:
        return _answer(request.hub.source.segment(image_in(request), classes, against))

    return await asyncio.to_thread(work)


async def point(request: Request) -> Answer:
    """Segment the object that points and a box mark, with a model that can."""

    def work() -> Answer:
        image = image_in(request)
        box = box_of(request.message.get("box"), image)
        prompt = MaskPrompt(_points_of(request.message.get("points", [])), box)
        return _answer(request.hub.source.point(image, prompt))

    return await asyncio.to_thread(work)


async def example(request: Request) -> Answer:
    """Remember an object of an image as an example image, and return its key and thumbnail."""

    def work() -> Exemplar:
        image = image_in(request)
        return Exemplar(image, mask_of(request.message, request.parts.get("runs"), image))

    return dict(request.hub.exemplars.entry(await asyncio.to_thread(work)))


async def keep(request: Request) -> Answer:
    """Have an object of a camera's image followed under a class of its own."""
    message = request.message
    match message:
        case {"camera": str(camera), "name": str(name), "stamp": str(stamp)} if _is_number(stamp):
            pass
        case _:
            raise StudioError("the request has no camera, name and stamp: load the page again")

    def work() -> str:
        image = image_in(request)
        mask = mask_of(message, request.parts.get("runs"), image)
        return request.hub.source.keep(MarkedObject(camera, int(stamp), image, mask), name)

    return {"name": await asyncio.to_thread(work)}


def _is_number(stamp: str) -> bool:
    return stamp.isascii() and stamp.isdigit() and len(stamp) < 20


def _points_of(entries: Any) -> tuple[MarkedPoint, ...]:
    if not isinstance(entries, list) or len(entries) > _MOST_POINTS:
        raise StudioError(f"points must be a list of at most {_MOST_POINTS}")
    points = []
    for entry in entries:
        match entry:
            case [int() | float() as x, int() | float() as y, bool(outside)]:
                points.append(MarkedPoint(float(x), float(y), outside))
            case _:
                raise StudioError("a point must be x, y and whether it is outside the object")
    return tuple(points)
