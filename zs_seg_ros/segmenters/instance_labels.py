# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Instances cut out of masks, their overlap, and label images of those that overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import Box, DetectedObject, Label
from zs_seg_ros.vocabulary.class_ids import LabelIds
from zs_seg_ros.vocabulary.precedence import CONFIDENCE_ALONE, Precedence

_SAME_OBJECT = 0.5
"""From this IoU on two masks are of one object: the criterion of PASCAL VOC and COCO."""


def label_instances(
    objects: Sequence[DetectedObject],
    size: tuple[int, int],
    ids: LabelIds,
    precedence: Precedence = CONFIDENCE_ALONE,
) -> tuple[Label, NDArray[np.uint8]]:
    """Return the label and confidence images (H, W) of objects, the most confident first.

    size: (H, W). ids: of the classes of `precedence`. The first object that covers a pixel has it or, where others of
    more specific classes cover it, too, the first of these. The pixel's confidence is that object's score.
    """
    label: Label = np.zeros(size, ids.dtype)
    confidence = np.zeros(size, np.uint8)
    for detected in reversed(objects):
        _paint(detected, detected.mask, label, confidence)
    for general, specific in precedence.specific.items():
        of_general = label == ids.values[general]
        specific_ids = {ids.values[index] for index in specific}
        for detected in reversed(objects):
            if detected.class_id in specific_ids:
                mask = detected.mask & of_general[_inside(detected.box)]
                _paint(detected, mask, label, confidence)
    return label, confidence


def _paint(
    detected: DetectedObject, mask: NDArray[np.bool_], label: Label, confidence: NDArray[np.uint8]
) -> None:
    """Give the pixels of a mask (box.height, box.width) the object's class and score."""
    place = _inside(detected.box)
    np.copyto(label[place], detected.class_id, where=mask)
    np.copyto(confidence[place], max(1, round(detected.score * 255)), where=mask)


def _inside(box: Box) -> tuple[slice, slice]:
    return slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)


def without_general(
    objects: Sequence[DetectedObject], ids: LabelIds, precedence: Precedence
) -> list[DetectedObject]:
    """Leave out each object of a general class that is an object of a more specific one, too, by their masks' IoU."""
    of_class: dict[int, list[DetectedObject]] = {}
    for detected in objects:
        of_class.setdefault(detected.class_id, []).append(detected)
    specific_ids = {
        ids.values[general]: [ids.values[index] for index in specific]
        for general, specific in precedence.specific.items()
    }
    return [
        detected
        for detected in objects
        if not any(
            mask_iou(detected, other) >= _SAME_OBJECT
            for class_id in specific_ids.get(detected.class_id, ())
            for other in of_class.get(class_id, ())
        )
    ]


class Masked(Protocol):
    """What has a mask in a bounding box: (box.height, box.width) bool."""

    @property
    def box(self) -> Box:
        """The bounding box."""
        ...

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The mask in the box."""
        ...

    @property
    def area(self) -> int:
        """The number of pixels in the mask."""
        ...


def mask_iou(one: Masked, other: Masked) -> float:
    """Return the intersection over union of two masks, 0 to 1."""
    a, b = one.box, other.box
    left, right = max(a.left, b.left), min(a.left + a.width, b.left + b.width)
    top, bottom = max(a.top, b.top), min(a.top + a.height, b.top + b.height)
    if left >= right or top >= bottom:
        return 0.0
    common = (
        one.mask[top - a.top : bottom - a.top, left - a.left : right - a.left]
        & other.mask[top - b.top : bottom - b.top, left - b.left : right - b.left]
    )
    intersection = int(np.count_nonzero(common))
    return intersection / max(1, one.area + other.area - intersection)


def cut_out(mask: NDArray[np.bool_], score: float, class_id: int = 0) -> DetectedObject:
    """Cut a mask (H, W) to its bounding box; that of an empty mask is empty."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    inside_box = mask[top : top + height, left : left + width].copy()
    return DetectedObject(class_id, score, Box(left, top, width, height), inside_box)
