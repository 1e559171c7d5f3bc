# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Segmentations warped to a newer image, given the place of each of its pixels in the older one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.kernels import MOST_PIXELS, compiled_kernels
from zs_seg_ros.types import Box, DetectedObject, Label, Segmentation

Plane = NDArray[np.float32]
"""(h, w): one value for each pixel."""

Pixels = TypeVar("Pixels", bound=NDArray[Any])

TRUSTED = 255

# Chosen by measurement; see docs/decisions/0009-propagation.md.
_LEAST_TRUST = 64
_LEAST_SHARE = 0.1
_COARSE_STEP = 8


@dataclass(frozen=True, eq=False)
class Places:
    """Where the pixels of a newer image are in an older one of the same size.

    x and y: (H, W) float32, in pixels of the older image, whose first pixel has its centre at (0, 0). trust: (H, W)
    uint8, 255 where the place is certain, 0 where it is unknown.
    """

    x: Plane
    y: Plane
    trust: NDArray[np.uint8]


def sample(image: Pixels, x: Plane, y: Plane, *, smooth: bool, replicate: bool = True) -> Pixels:
    """Return the values of an image (H, W) at the places `x` and `y`, both (h, w), in its pixels.

    smooth: interpolated linearly; otherwise those of the nearest pixels. replicate: outside of the image the values
    of its border, otherwise 0.
    """
    interpolation = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
    border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
    values = cv2.remap(image, x, y, interpolation, borderMode=border)
    return cast(Pixels, values)


def warped(segmentation: Segmentation, places: Places, factor: float = 1.0) -> Segmentation:
    """Return the segmentation of the older image as one of the newer image.

    Pixels without a trusted place are not labelled. Confidence falls with the trust, and by `factor`, 0..1. Instances
    of which less than a tenth is left are dropped.
    """
    limit = _LEAST_TRUST - 1
    trust = np.asarray(cv2.threshold(places.trust, limit, 0, cv2.THRESH_TOZERO)[1], np.uint8)
    label, confidence = _warped_label(segmentation, replace(places, trust=trust), factor)
    instances = segmentation.instances
    if instances is not None:
        instances = _warped_instances(instances, replace(places, trust=trust), factor)
    return Segmentation(label, confidence, instances)


def _warped_label(
    segmentation: Segmentation, places: Places, factor: float
) -> tuple[Label, NDArray[np.uint8]]:
    """Return label and confidence at the places that have any trust."""
    kernels = compiled_kernels()
    if kernels is not None and segmentation.label.size <= MOST_PIXELS:
        where = places.x, places.y, places.trust
        of_image = segmentation.label, segmentation.confidence
        return kernels.warp(*of_image, where, factor / TRUSTED)
    label = sample(segmentation.label, places.x, places.y, smooth=False, replicate=False)
    label *= places.trust > 0
    # Not interpolated: that would take twice as long, and lower it along the edges of masks.
    confidence = sample(segmentation.confidence, places.x, places.y, smooth=False, replicate=False)
    confidence = np.asarray(
        cv2.multiply(confidence, places.trust, scale=factor / TRUSTED), np.uint8
    )
    return label, _matching(confidence, label)


def faded(segmentation: Segmentation, factor: float) -> Segmentation:
    """Return the segmentation with all confidences times `factor`, 0..1; no label is lost."""
    confidence = np.asarray(cv2.convertScaleAbs(segmentation.confidence, alpha=factor), np.uint8)
    instances = segmentation.instances
    if instances is not None:
        instances = tuple(replace(each, score=each.score * factor) for each in instances)
    confidence = _matching(confidence, segmentation.label)
    return replace(segmentation, confidence=confidence, instances=instances)


def _matching(confidence: NDArray[np.uint8], label: Label) -> NDArray[np.uint8]:
    """Return confidence that is at least 1 where the label is not 0; it is 0 where the label is 0 already."""
    return np.asarray(cv2.max(confidence, (label > 0).view(np.uint8)), np.uint8)


def _warped_instances(
    instances: tuple[DetectedObject, ...], places: Places, factor: float
) -> tuple[DetectedObject, ...]:
    """Return the instances that are left, at their new places, which are looked up in every 8th row and column."""
    height, width = places.trust.shape
    rows, columns = (np.append(np.arange(0, n - 1, _COARSE_STEP), n - 1) for n in (height, width))
    x, y = (plane[rows[:, None], columns] for plane in (places.x, places.y))
    left: list[DetectedObject] = []
    for instance in instances:
        part = _grown_part(instance.box, x, y, rows, columns)
        carried = None if part is None else _warped_instance(instance, places, factor, part)
        if carried is not None:
            left.append(carried)
    return tuple(left)


def _grown_part(
    box: Box, x: Plane, y: Plane, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[slice, slice] | None:
    """Return rows and columns of the newer image that may show something of a box of the older one."""
    # Neighbours in the coarse grid are about as far apart in the older image as in the newer one.
    reach = 2 * _COARSE_STEP
    inside = (np.abs(x - (box.left + box.width / 2)) <= box.width / 2 + reach) & (
        np.abs(y - (box.top + box.height / 2)) <= box.height / 2 + reach
    )
    rows_inside, columns_inside = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    if not rows_inside.size:
        return None
    top, bottom = rows[max(0, rows_inside[0] - 1)], rows[min(rows.size - 1, rows_inside[-1] + 1)]
    first = columns[max(0, columns_inside[0] - 1)]
    last = columns[min(columns.size - 1, columns_inside[-1] + 1)]
    return slice(int(top), int(bottom) + 1), slice(int(first), int(last) + 1)


def _warped_instance(
    instance: DetectedObject,
    places: Places,
    factor: float,
    part: tuple[slice, slice],
) -> DetectedObject | None:
    """Return an instance at its new place in a part of the image; None where too little of it is left."""
    box = instance.box
    x, y = places.x[part] - np.float32(box.left), places.y[part] - np.float32(box.top)
    mask = sample(instance.mask.view(np.uint8), x, y, smooth=False, replicate=False)
    mask *= places.trust[part] > 0
    area = cv2.countNonZero(mask)
    if area < max(1.0, _LEAST_SHARE * instance.area):
        return None
    trust = cv2.mean(places.trust[part], mask)[0] / TRUSTED
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = mask.shape
    top, left = part[0].start + int(rows[0]), part[1].start + int(columns[0])
    return replace(
        instance,
        score=instance.score * trust * factor,
        box=Box(left, top, width, height),
        mask=np.ascontiguousarray(mask).view(np.bool_),
    )
