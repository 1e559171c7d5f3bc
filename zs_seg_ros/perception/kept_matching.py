# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Which detection is a kept object, and the results in which that one alone has the kept object's class."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.perception.masks import extract_objects
from zs_seg_ros.segmenters.instance_labels import cut_out, mask_iou
from zs_seg_ros.types import DetectedObject, Label, Segmentation

_LEAST_IOU = 0.2
"""The least overlap of a detection with the predicted mask that makes it the kept object."""
_SAME_IOU = 0.5
"""Two instances that overlap more are one object."""
_REACH = 0.5
"""How far a detection without overlap may lie from the predicted position, in object sizes, at least."""
_REACH_GROWTH_PER_S = 1.0
_LARGEST_GROWTH = 4.0
"""By which factor the area may differ where masks do not overlap."""
_MANY = 1000


def instance_of(
    mask: NDArray[np.bool_], class_id: int = 0, score: float = 1.0
) -> DetectedObject | None:
    """Return the object with a mask (H, W) of the whole image and its tight bounding box; None for an empty mask."""
    detected = cut_out(mask, score, class_id)
    return detected if detected.box.width else None


def nearest(
    candidates: Sequence[DetectedObject],
    predicted: DetectedObject | None,
    last: DetectedObject,
    undetected_s: float,
) -> DetectedObject | None:
    """Return the candidate that overlaps the prediction most or, without overlap, the nearest one within reach.

    predicted: the object's mask, moved by optical flow; None where that is not known. last: the object as it was
    detected last, `undetected_s` seconds ago; the reach grows with that time. None: none fits.
    """
    if not candidates:
        return None
    expected = [last] if predicted is None else [predicted, last]
    overlaps = [mask_iou(candidate, expected[0]) for candidate in candidates]
    best = int(np.argmax(overlaps))
    if overlaps[best] >= _LEAST_IOU:
        return candidates[best]
    reach = _REACH + _REACH_GROWTH_PER_S * max(0.0, undetected_s)
    distances = [min(_distance(c, place) for place in expected) for c in candidates]
    near = [i for i, c in enumerate(candidates) if distances[i] < reach and is_similar(c, last)]
    return candidates[min(near, key=lambda i: distances[i])] if near else None


def _distance(one: DetectedObject, other: DetectedObject) -> float:
    """Return the distance of the boxes' centres in units of their mean diagonal."""
    a, b = one.box, other.box
    away = math.hypot(
        a.left + a.width / 2 - b.left - b.width / 2, a.top + a.height / 2 - b.top - b.height / 2
    )
    return away / (math.hypot(a.width, a.height) + math.hypot(b.width, b.height)) * 2


def is_similar(one: DetectedObject, other: DetectedObject, growth: float = _LARGEST_GROWTH) -> bool:
    """Return whether the areas of two masks differ by less than a factor."""
    ratio = max(1, one.area) / max(1, other.area)
    return 1 / growth < ratio < growth


def without(
    objects: Iterable[DetectedObject], others: Sequence[DetectedObject]
) -> list[DetectedObject]:
    """Return the objects that are none of the others: that overlap each of them little."""
    return [o for o in objects if all(mask_iou(o, other) < _SAME_IOU for other in others)]


def objects_of(
    segmentation: Segmentation, class_ids: Collection[int], min_area: int
) -> list[DetectedObject]:
    """Return the detections of these classes, most confident first."""
    if segmentation.instances is None:
        of_classes = np.isin(segmentation.label, list(class_ids))
        segmentation = Segmentation(
            segmentation.label * of_classes, segmentation.confidence * of_classes
        )
    objects = extract_objects(segmentation, min_area, _MANY)
    return [o for o in objects if o.class_id in class_ids]


def reassigned(segmentation: Segmentation, classes: Mapping[int, int]) -> Segmentation:
    """Return the segmentation with each class id in `classes` replaced by another one, or by 0, the background.

    Instances of class 0 are left out, and so are those that another instance of their new class overlaps.
    """
    label, confidence = segmentation.label.copy(), segmentation.confidence.copy()
    for class_id, other in classes.items():
        of_class = segmentation.label == class_id
        label[of_class] = other
        if not other:
            confidence[of_class] = 0
    instances = segmentation.instances
    if instances is not None:
        left = [i for i in instances if i.class_id not in classes]
        for instance in (i for i in instances if i.class_id in classes):
            other = classes[instance.class_id]
            if other and without([instance], [o for o in left if o.class_id == other]):
                left.append(replace(instance, class_id=other))
        instances = tuple(left)
    return replace(segmentation, label=label, confidence=confidence, instances=instances)


@dataclass(frozen=True, eq=False)
class Painted:
    """A segmentation with the kept objects. rest: the same without them, from which the others are extracted."""

    segmentation: Segmentation
    rest: Segmentation


def painted(
    merged: Segmentation,
    original: Segmentation,
    kept: Sequence[DetectedObject],
    dtype: np.dtype[Any],
) -> Painted:
    """Return `merged` with the masks of the kept objects in their classes.

    original: the model's own result, whose confidence the pixels keep where it has any. dtype: of a label image with
    all class ids.
    """
    label: Label = merged.label.astype(dtype, copy=True)
    confidence = merged.confidence.copy()
    rest_label, rest_confidence = label.copy(), confidence.copy()
    for detected in kept:
        place, mask = _place(detected), detected.mask
        own = original.confidence[place]
        filled = np.where(own > 0, own, np.uint8(np.clip(round(detected.score * 255), 1, 255)))
        label[place][mask] = detected.class_id
        confidence[place][mask] = filled[mask]
        rest_label[place][mask] = 0
        rest_confidence[place][mask] = 0
    instances = merged.instances
    others = None if instances is None else tuple(without(instances, kept))
    all_instances = None if others is None else (*others, *kept)
    return Painted(
        Segmentation(label, confidence, all_instances, merged.features, merged.presence),
        Segmentation(rest_label, rest_confidence, others, merged.features),
    )


def _place(detected: DetectedObject) -> tuple[slice, slice]:
    box = detected.box
    return slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)


def numbered(size: tuple[int, int], objects: Mapping[int, DetectedObject]) -> Segmentation:
    """Return a segmentation of `size` (H, W) with the masks of objects, each labelled with its number, 1 to 254."""
    label = np.zeros(size, np.uint8)
    for number, detected in objects.items():
        label[_place(detected)][detected.mask] = number
    return Segmentation(label, (label > 0) * np.uint8(255))
