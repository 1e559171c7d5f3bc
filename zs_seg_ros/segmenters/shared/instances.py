"""From instance masks to a segmentation: the same last step for every family that tells things apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.types import Box, DetectedObject, Label, Segmentation
from zs_seg_ros.vocabulary.vocabulary import LabelIds

_SAME_OBJECT = 0.7
"""Boxes of two phrases of one class that overlap more (IoU) are one thing: what DETR-like models leave of
duplicates of one phrase overlaps less."""
_MASKS_PER_CHUNK = (
    16  # bounds the memory on a GPU: full-size masks of 16 things at 1280x720 are 59 MB
)


@dataclass(frozen=True, eq=False)
class Instances:
    """What a model found in one image: N things of K classes, whatever their scores.

    masks: (N, h, w), more than `inside` on the thing; resized bilinearly to the image. scores: (N,), 0..1.
    class_index: (N,) int64, the place of the class in the vocabulary.
    """

    masks: Tensor
    scores: Tensor
    class_index: Tensor
    inside: float = 0.0


def confident(scores: Tensor, class_index: Tensor, thresholds: NDArray[np.float32]) -> Tensor:
    """(M,) int64: the things that reach the threshold of their class. scores, class_index: (N,)."""
    limits = torch.from_numpy(thresholds).to(scores.device)[class_index]
    return (scores.float() >= limits).nonzero()[:, 0]


def without_duplicates(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    class_index: Sequence[int],
    prompt_index: Sequence[int],
) -> list[int]:
    """Which things to keep where several phrases of one class found the same: the most confident of them.

    boxes: (N, 4), left, top, right, bottom, in any unit. Things of one phrase, and of different classes, never
    suppress each other, so that no class depends on the others. The indices that are kept are in rising order.
    """
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        rivals = [j for j in kept if class_index[j] == class_index[i]]
        rivals = [j for j in rivals if prompt_index[j] != prompt_index[i]]
        if not rivals or _overlap(boxes[i], boxes[rivals]).max() <= _SAME_OBJECT:
            kept.append(i)
    return sorted(kept)


def _overlap(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(M,) intersection over union of a box (4,) and others (M, 4)."""
    corner = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.clip(corner[1] - corner[0], 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    overlap: NDArray[np.float32] = shared / np.maximum(areas - shared, np.finfo(np.float32).tiny)
    return overlap


def decode_instances(
    found: Instances,
    size: tuple[int, int],
    thresholds: NDArray[np.float32],
    ids: LabelIds,
) -> Segmentation:
    """Things that reach the threshold of their class, most confident first; empty masks are left out.

    size: (H, W) of the image; thresholds (K,): 0..1; ids: of K classes. In the label image the most confident thing
    that covers a pixel has it, and the pixel's confidence is that thing's score.
    """
    chosen = confident(found.scores, found.class_index, thresholds)
    scores = found.scores[chosen].float()
    order = torch.argsort(scores, descending=True, stable=True)
    chosen = chosen[order]
    masks = _full_size(found.masks[chosen], size, found.inside)
    certain = scores[order].clamp(0, 1).tolist()
    class_ids = [ids.values[i] for i in found.class_index[chosen].tolist()]
    things = [
        thing
        for mask, score, class_id in zip(masks, certain, class_ids, strict=True)
        if (thing := _thing(mask, score, class_id))
    ]
    label: Label = np.zeros(size, ids.dtype)
    confidence = np.zeros(size, np.uint8)
    for thing in reversed(things):
        box = thing.box
        part = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
        np.copyto(label[part], thing.class_id, where=thing.mask)
        np.copyto(confidence[part], max(1, round(thing.score * 255)), where=thing.mask)
    return Segmentation(label, confidence, tuple(things))


def _full_size(masks: Tensor, size: tuple[int, int], inside: float) -> list[NDArray[np.bool_]]:
    """N masks of (H, W)."""
    if masks.device.type == "cpu":
        small = masks.float().numpy()
        return [
            cv2.resize(mask, size[::-1], interpolation=cv2.INTER_LINEAR) > inside for mask in small
        ]
    full: list[NDArray[np.bool_]] = []
    for start in range(0, len(masks), _MASKS_PER_CHUNK):
        part = masks[start : start + _MASKS_PER_CHUNK, None].float()
        resized = functional.interpolate(part, size, mode="bilinear")[:, 0]
        full += list((resized > inside).cpu().numpy())
    return full


def _thing(mask: NDArray[np.bool_], score: float, class_id: int) -> DetectedObject | None:
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width == 0:
        return None
    inside_box = mask[top : top + height, left : left + width].copy()
    return DetectedObject(class_id, score, Box(left, top, width, height), inside_box)
