"""Instances cut out of masks, and label images of those that may overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import Box, DetectedObject, Label


def label_instances(
    objects: Sequence[DetectedObject], size: tuple[int, int], dtype: np.dtype[Any]
) -> tuple[Label, NDArray[np.uint8]]:
    """Return the label and confidence images (H, W) of objects, the most confident first.

    size: (H, W). dtype: of the label image. The first object that covers a pixel has it, and the pixel's confidence is
    that object's score.
    """
    label: Label = np.zeros(size, dtype)
    confidence = np.zeros(size, np.uint8)
    for detected in reversed(objects):
        box = detected.box
        inside_box = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
        np.copyto(label[inside_box], detected.class_id, where=detected.mask)
        np.copyto(confidence[inside_box], max(1, round(detected.score * 255)), where=detected.mask)
    return label, confidence


def cut_out(mask: NDArray[np.bool_], score: float, class_id: int = 0) -> DetectedObject:
    """Cut a mask (H, W) to its bounding box; that of an empty mask is empty."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    inside_box = mask[top : top + height, left : left + width].copy()
    return DetectedObject(class_id, score, Box(left, top, width, height), inside_box)
