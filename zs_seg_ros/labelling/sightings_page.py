# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A page of thumbnails of the objects that were found in a recording."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from html import escape
from pathlib import Path

import cv2

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.bags.bag_cameras import BagCamera, find_cameras
from zs_seg_ros.errors import BagError, ImageError
from zs_seg_ros.files import write_output
from zs_seg_ros.images.compressed_images import CompressedImageReader
from zs_seg_ros.images.message_images import image_from_message, stamp_ns
from zs_seg_ros.labelling.sightings import Sighting
from zs_seg_ros.perception.overlay import as_bytes
from zs_seg_ros.types import RgbImage

MOST_THUMBNAILS = 500
"""Bounds the memory, and the size of the page: a thumbnail has about 10 KB."""
_SIDE_PX = 240
_CONTEXT = 0.5
"""How much of the surroundings a thumbnail shows, in units of the bounding box."""
_FRAME_RGB = (255, 220, 0)


def write_page(
    path: Path, bag: Bag, lines: dict[Sighting, str], total: int, cameras: Sequence[str] = ()
) -> None:
    """Write an HTML page with a thumbnail and a line of text for each sighting.

    total: of sightings, with those that are left out. cameras: as in `find_cameras`; empty for all. A sighting whose
    image cannot be read has no thumbnail.
    """
    thumbnails = _thumbnails(bag, list(lines), find_cameras(bag, cameras))
    figures = "\n".join(
        f"<figure>{thumbnails.get(sighting, '')}<figcaption>{escape(line)}</figcaption></figure>"
        for sighting, line in lines.items()
    )
    left_out = total - len(lines)
    more = f"<p>{left_out} more are left out.</p>" if left_out else ""
    title = escape(f"{total} objects in {bag.folder.name}")
    style = "figure{display:inline-block;width:250px;vertical-align:top;margin:8px;font:14px sans-serif}"
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{style}</style></head>\n<body><h1>{title}</h1>\n{figures}\n{more}</body></html>\n"
    )
    write_output(path, page.encode())


def _thumbnails(
    bag: Bag, sightings: Sequence[Sighting], cameras: Sequence[BagCamera]
) -> dict[Sighting, str]:
    """Return an <img> for each sighting whose image is in the recording."""
    needed: dict[tuple[str, int], list[Sighting]] = defaultdict(list)
    for sighting in sightings:
        needed[sighting.camera, sighting.stamp_ns].append(sighting)
    by_topic = {camera.image: camera for camera in cameras}
    readers = {camera.image: CompressedImageReader() for camera in cameras}
    thumbnails: dict[Sighting, str] = {}
    for message in bag.messages(by_topic):
        camera = by_topic[message.topic.name]
        with suppress(ImageError, BagError):
            here = needed.get((camera.name, stamp_ns(message.content.header.stamp)), [])
            reader = readers[camera.image] if camera.transport == "compressed" else None
            if not here and not (reader and reader.reads_video):
                continue
            image = reader(message.content) if reader else image_from_message(message.content)
            thumbnails |= {sighting: _thumbnail(image, sighting) for sighting in here}
    return thumbnails


def _thumbnail(image: RgbImage, sighting: Sighting) -> str:
    pixels = as_bytes(image)
    box = sighting.box
    low, high = (box.left, box.top), (box.left + box.width - 1, box.top + box.height - 1)
    cv2.rectangle(pixels, low, high, _FRAME_RGB, 1)
    wide, tall = round(_CONTEXT * box.width) + 8, round(_CONTEXT * box.height) + 8
    rows = slice(max(0, box.top - tall), box.top + box.height + tall)
    columns = slice(max(0, box.left - wide), box.left + box.width + wide)
    crop = pixels[rows, columns]
    scale = _SIDE_PX / max(crop.shape[:2])
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    resized = cv2.resize(
        crop, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    _, jpeg = cv2.imencode(".jpg", resized[..., ::-1])
    data = base64.b64encode(jpeg.tobytes()).decode()
    return f'<img alt="{escape(sighting.class_name)}" src="data:image/jpeg;base64,{data}">'
