# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Frames as the page shows them: an image as JPEG, and objects with their masks as run lengths."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.perception.masks import encode_all_runs
from zs_seg_ros.perception.overlay import class_colour
from zs_seg_ros.studio.packet import encoded
from zs_seg_ros.types import Box, DetectedObject, Metres, RgbImage
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

_JPEG_QUALITY = 88
_LONGEST_SIDE = 1280
"""Larger images are made smaller for the page; masks stay in pixels of the camera's image."""


@dataclass(frozen=True, eq=False)
class ShownObject:
    """One object. runs: (N,) uint32, the run lengths of its mask in its box, as in the message ObjectMask.

    position: metres in the frame of the results, size likewise; None without depth.
    """

    class_id: int
    name: str
    score: float
    box: Box
    runs: NDArray[np.uint32]
    area: int
    track_id: int = 0
    position: Metres | None = None
    size: Metres | None = None


@dataclass(frozen=True, eq=False)
class ShownFrame:
    """One image of a camera with its results.

    image: (H, W, 3) RGB, or the bytes of a JPEG of the size (H, W). version: of the vocabulary of the results; None
    without results. age_ms: of the image when the results were received; None where it is not known. confidence:
    (H, W) uint8, 0 where no class is; None where it is not requested.
    title, index: the name and the place, from 0, of an image that is not live.
    """

    camera: str
    stamp_ns: int
    image: RgbImage | bytes
    size: tuple[int, int]
    objects: tuple[ShownObject, ...] = ()
    version: int | None = None
    age_ms: float | None = None
    inferred_stamp_ns: int = 0
    confidence: NDArray[np.uint8] | None = None
    title: str = ""
    index: int = 0

    @cached_property
    def packet(self) -> bytes:
        """The frame as a binary message."""
        return encoded({"is": "frame", **self.header}, self.parts)

    @property
    def header(self) -> dict[str, Any]:
        """The frame without its parts. Stamps are texts, since numbers of JavaScript are too short for them."""
        height, width = self.size
        return {
            "camera": self.camera,
            "stamp": str(self.stamp_ns),
            "inferred": str(self.inferred_stamp_ns or self.stamp_ns),
            "width": width,
            "height": height,
            "version": self.version,
            "age_ms": None if self.age_ms is None else round(self.age_ms, 1),
            "title": self.title,
            "index": self.index,
            "objects": [_entry(shown) for shown in self.objects],
        }

    @property
    def parts(self) -> dict[str, bytes]:
        """The image, the run lengths of all objects and, where it is there, the confidence as PNG."""
        runs = [shown.runs for shown in self.objects]
        joined = np.concatenate(runs) if runs else np.zeros(0, np.uint32)
        parts = {"image": self.jpeg, "runs": joined.astype("<u4").tobytes()}
        if self.confidence is not None:
            parts["confidence"] = png_of(self.confidence)
        return parts

    @cached_property
    def jpeg(self) -> bytes:
        """The image as JPEG, its longer side at most 1280 pixels where it was none."""
        return self.image if isinstance(self.image, bytes) else jpeg_of(self.image)


def jpeg_of(image: RgbImage) -> bytes:
    """Return (H, W, 3) RGB as JPEG, its longer side at most 1280 pixels."""
    pixels = (image >> 8).astype(np.uint8) if image.dtype.itemsize == 2 else image
    height, width = pixels.shape[:2]
    scale = _LONGEST_SIDE / max(height, width)
    bgr = cv2.cvtColor(np.ascontiguousarray(pixels, np.uint8), cv2.COLOR_RGB2BGR)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def png_of(values: NDArray[np.uint8]) -> bytes:
    """Return (H, W) uint8 as PNG."""
    grey = np.ascontiguousarray(values, np.uint8)
    return cv2.imencode(".png", grey, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def shown_objects(
    objects: tuple[DetectedObject, ...], vocabulary: Vocabulary
) -> tuple[ShownObject, ...]:
    """Return detections with the names of a vocabulary."""
    names = dict(zip(vocabulary.ids, vocabulary.names, strict=True))
    runs = encode_all_runs([detected.mask for detected in objects])
    return tuple(
        ShownObject(
            detected.class_id,
            names.get(detected.class_id, ""),
            detected.score,
            detected.box,
            counts,
            detected.area,
            detected.track_id,
        )
        for detected, counts in zip(objects, runs, strict=True)
    )


def colour_text(class_id: int) -> str:
    """Return the colour of a class as in overlays: "#rrggbb"."""
    return "#{:02x}{:02x}{:02x}".format(*class_colour(class_id))


def _entry(shown: ShownObject) -> dict[str, Any]:
    box = shown.box
    return {
        "id": shown.class_id,
        "name": shown.name,
        "colour": colour_text(shown.class_id),
        "score": round(float(shown.score), 3),
        "box": [box.left, box.top, box.width, box.height],
        "runs": len(shown.runs),
        "area": shown.area,
        "track": shown.track_id,
        "position": shown.position and [round(each, 3) for each in shown.position],
        "size": shown.size and [round(each, 3) for each in shown.size],
    }
