# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Post-processing of instance masks to a segmentation, shared by every family that detects instances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zs_seg_ros.segmenters.finite import check_finite
from zs_seg_ros.segmenters.instance_labels import cut_out, label_instances, without_general
from zs_seg_ros.segmenters.shared.packed_masks import cut_packed, packed
from zs_seg_ros.segmenters.shared.transfers import OnDevice, Pending, finished
from zs_seg_ros.types import DetectedObject, Segmentation
from zs_seg_ros.vocabulary.class_ids import LabelIds
from zs_seg_ros.vocabulary.precedence import CONFIDENCE_ALONE, Precedence

_SAME_OBJECT = 0.7
"""Boxes of two prompts of one class with a higher IoU are one object: the duplicates of one prompt that DETR-like
models leave overlap less."""
_OF_NEGATIVE = 0.5
"""From this IoU on a box of a negative is taken for the same object: the criterion of PASCAL VOC and COCO. It is lower
than `_SAME_OBJECT`, since boxes of phrases for different kinds of objects fit less well to each other."""


@dataclass(frozen=True, eq=False)
class Instances:
    """The detections of a model in one image: N instances of K classes, whatever their scores.

    masks: (M, h, w), above `inside` on the instance; resized bilinearly to the image. They may be on another device
    than the CPU, where all else is. scores: (N,), 0..1. class_index: (N,) int64, the index of the class in the
    vocabulary. mask_index: (N,) int64, the index of each one's mask, which several may share; None: each has its own.
    """

    masks: Tensor
    scores: Tensor
    class_index: Tensor
    inside: float = 0.0
    mask_index: Tensor | None = None


def confident(scores: Tensor, class_index: Tensor, thresholds: NDArray[np.float32]) -> Tensor:
    """Return the indices (M,) int64 of the instances that reach the threshold of their class.

    scores, class_index: (N,), on the CPU. thresholds: (K,), 0..1.
    """
    check_finite(scores)
    limits = torch.from_numpy(thresholds)[class_index]
    return (scores.float() >= limits).nonzero()[:, 0]


def without_duplicates(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    class_index: Sequence[int],
    prompt_index: Sequence[int],
) -> list[int]:
    """Keep the most confident instance where several prompts of one class detected the same object.

    boxes: (N, 4), left, top, right, bottom, in any unit. Instances of one prompt, and of different classes, never
    suppress each other, so that no class depends on the others. Returns the indices that are kept, in rising order.
    """
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        rivals = [j for j in kept if class_index[j] == class_index[i]]
        rivals = [j for j in rivals if prompt_index[j] != prompt_index[i]]
        if not rivals or box_iou(boxes[i], boxes[rivals]).max() <= _SAME_OBJECT:
            kept.append(i)
    return sorted(kept)


def not_negative(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    class_index: Sequence[int],
    is_negative: Sequence[bool],
) -> list[int]:
    """Return the indices, rising, of the instances that no negative of their class beats, without negatives.

    An instance is beaten by a negative's of a higher score whose box has an IoU of at least 0.5 with its own. boxes:
    (N, 4), as for `without_duplicates`.
    """
    negatives: dict[int, list[int]] = {}
    for i, negative in enumerate(is_negative):
        if negative:
            negatives.setdefault(class_index[i], []).append(i)
    kept = []
    for i in range(len(scores)):
        rivals = [j for j in negatives.get(class_index[i], ()) if scores[j] > scores[i]]
        beaten = bool(rivals) and box_iou(boxes[i], boxes[rivals]).max() >= _OF_NEGATIVE
        if not is_negative[i] and not beaten:
            kept.append(i)
    return kept


def box_iou(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the intersection over union (M,) of a box (4,) with others (M, 4): left, top, right, bottom."""
    corner = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.clip(corner[1] - corner[0], 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    iou: NDArray[np.float32] = shared / np.maximum(areas - shared, np.finfo(np.float32).tiny)
    return iou


def decode_instances(
    instances: Instances,
    size: tuple[int, int],
    thresholds: NDArray[np.float32],
    ids: LabelIds,
    precedence: Precedence = CONFIDENCE_ALONE,
) -> Segmentation:
    """Post-process instances: those that reach the threshold of their class, most confident first.

    size: (H, W) of the image; thresholds (K,): 0..1; ids: of K classes. Empty masks are left out, and so are instances
    that one of a more specific class by `precedence` covers, too. In the label image the most confident instance that
    covers a pixel has it, those of more specific classes first; the pixel's confidence is that instance's score.
    """
    return finished([pending_instances(instances, size, thresholds, ids, precedence)])[0]


def pending_instances(
    instances: Instances,
    size: tuple[int, int],
    thresholds: NDArray[np.float32],
    ids: LabelIds,
    precedence: Precedence = CONFIDENCE_ALONE,
) -> Pending:
    """Post-process instances as `decode_instances` does; where masks are on another device, the result is left there.

    There every mask is resized, so that none has to be copied within the device.
    """
    chosen = confident(instances.scores, instances.class_index, thresholds)
    scores = instances.scores[chosen].float()
    order = torch.argsort(scores, descending=True, stable=True)
    chosen = chosen[order]
    index = chosen if instances.mask_index is None else instances.mask_index[chosen]
    ordered_scores = scores[order].clamp(0, 1).tolist()
    class_ids = [ids.values[i] for i in instances.class_index[chosen].tolist()]
    described = list(zip(index.tolist(), ordered_scores, class_ids, strict=True))
    if instances.masks.device.type == "cpu":
        masks = instances.masks.float().numpy()
        resized = {i: _full_resolution(masks[i], size, instances.inside) for i, _, _ in described}
        objects = [cut_out(resized[i], score, class_id) for i, score, class_id in described]
        return _segmentation(objects, size, ids, precedence)

    def finish(parts: Sequence[Tensor]) -> Segmentation:
        rows = parts[0].numpy()
        objects = [cut_packed(rows[i], score, class_id) for i, score, class_id in described]
        return _segmentation(objects, size, ids, precedence)

    return OnDevice((packed(instances.masks, size, instances.inside),), finish)


def _segmentation(
    objects: Sequence[DetectedObject],
    size: tuple[int, int],
    ids: LabelIds,
    precedence: Precedence,
) -> Segmentation:
    """Make the result of instances, of which empty ones are left out."""
    present = [detected for detected in objects if detected.box.width]
    objects = without_general(present, ids, precedence)
    label, confidence = label_instances(objects, size, ids, precedence)
    return Segmentation(label, confidence, tuple(objects))


def _full_resolution(
    mask: NDArray[np.float32], size: tuple[int, int], inside: float
) -> NDArray[np.bool_]:
    """Resize a mask (h, w) to `size` (H, W), true above `inside`."""
    full: NDArray[np.bool_] = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_LINEAR) > inside
    return full
