# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Images of the report: a frame's image, golden result, result now and difference, as four panels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.perception.overlay import as_bytes, draw_overlay
from zs_seg_ros.replay.results import FrameResult
from zs_seg_ros.types import DetectedObject, RgbImage
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

# Distinguishable with red-green colour blindness, too.
MISSING_RGB = (240, 140, 20)
ADDED_RGB = (50, 130, 240)
OTHER_RGB = (200, 60, 200)
_LONGEST_SIDE_PX = 640
_JPEG_QUALITY = 90
_GAP_PX = 4
_RING_RADIUS_PX = 7
_MOST_RINGS = 100


def comparison_panels(
    image: RgbImage, golden: FrameResult, now: FrameResult, classes: Sequence[str]
) -> NDArray[np.uint8]:
    """Draw the four panels beside each other: (H, W, 3) RGB, each panel at most 640 pixels long.

    classes: the names of the numbers in both label images, from 1. Raises ValueError when sizes differ.
    """
    vocabulary = Vocabulary().changed_to(TargetClass(name) for name in classes)
    plain = as_bytes(image)
    height, width = plain.shape[:2]
    scale = min(1.0, _LONGEST_SIDE_PX / max(height, width))
    panels = [
        plain,
        _overlay(plain, golden, vocabulary),
        _overlay(plain, now, vocabulary),
        difference(plain, golden.label, now.label, scale),
    ]
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        panels = [np.asarray(cv2.resize(p, size, interpolation=cv2.INTER_AREA)) for p in panels]
    gap = np.full((panels[0].shape[0], _GAP_PX, 3), 255, np.uint8)
    return np.hstack([part for panel in panels for part in (panel, gap)][:-1])


def difference(
    image: NDArray[np.uint8],
    golden: NDArray[np.uint16],
    now: NDArray[np.uint16],
    shrink: float = 1.0,
) -> NDArray[np.uint8]:
    """Draw the image in dark grey, with the pixels that are missing, new or of another class now: (H, W, 3) RGB.

    Each is widened so that it covers three by three pixels after the image has been resized by `shrink`, and has a
    ring around it where few others are near.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) // 2
    panel = np.repeat(grey[..., None], 3, axis=2)
    differs = golden != now
    side = 2 * math.ceil(1 / shrink) + 1
    for which, colour in (
        (differs & (golden > 0) & (now > 0), OTHER_RGB),
        (differs & (now == 0), MISSING_RGB),
        (differs & (golden == 0), ADDED_RGB),
    ):
        wide = cv2.dilate(which.view(np.uint8), np.ones((side, side), np.uint8))
        panel[wide > 0] = colour
        panel[which] = colour
    _ring_small_areas(panel, differs, shrink)
    return panel


def _ring_small_areas(panel: NDArray[np.uint8], differs: NDArray[np.bool_], shrink: float) -> None:
    radius = math.ceil(_RING_RADIUS_PX / shrink)
    near = cv2.dilate(differs.view(np.uint8), np.ones((radius, radius), np.uint8))
    count, _, boxes, centres = cv2.connectedComponentsWithStats(near)
    for number in range(1, min(count, _MOST_RINGS + 1)):
        if max(boxes[number, 2:4]) <= 2 * radius:
            x, y = (round(value) for value in centres[number])
            cv2.circle(panel, (x, y), radius, (255, 255, 255), math.ceil(1 / shrink), cv2.LINE_AA)


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """Encode an image, (H, W, 3) RGB, as JPEG."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return bytes(data)


def _overlay(
    image: NDArray[np.uint8], result: FrameResult, vocabulary: Vocabulary
) -> NDArray[np.uint8]:
    ids = np.array([0, *vocabulary.ids], vocabulary.label_ids.dtype)
    label = ids[result.label]
    id_of = dict(zip(vocabulary.names, vocabulary.ids, strict=True))
    objects = [
        DetectedObject(id_of[o.class_name], o.score, o.box, o.mask, o.track_id)
        for o in result.objects
    ]
    return draw_overlay(image, label, objects, vocabulary)
