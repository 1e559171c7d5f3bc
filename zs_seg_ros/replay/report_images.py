"""Frames that differ, drawn side by side: image, golden, now, difference."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.perception.overlay import draw_overlay
from zs_seg_ros.replay.results import FoundObject, FrameResult
from zs_seg_ros.types import DetectedObject, RgbImage
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

# Told apart by people who do not tell red from green, too.
MISSING_RGB = (240, 140, 20)
ADDED_RGB = (50, 130, 240)
OTHER_RGB = (200, 60, 200)
_LONGEST_SIDE_PX = 640
_JPEG_QUALITY = 90
_GAP_PX = 4


def per_image_threads(
    image: RgbImage, golden: FrameResult, now: FrameResult, classes: Sequence[str]
) -> NDArray[np.uint8]:
    """(H, W, 3) RGB. classes: what the numbers in both label images mean, from 1. Raises ValueError for other sizes."""
    vocabulary = Vocabulary().changed_to(TargetClass(name) for name in classes)
    plain = _as_bytes(image)
    panels = [
        plain,
        _overlay(plain, golden, vocabulary),
        _overlay(plain, now, vocabulary),
        difference(plain, golden.label, now.label),
    ]
    height, width = plain.shape[:2]
    scale = min(1.0, _LONGEST_SIDE_PX / max(height, width))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        panels = [np.asarray(cv2.resize(p, size, interpolation=cv2.INTER_AREA)) for p in panels]
    gap = np.full((panels[0].shape[0], _GAP_PX, 3), 255, np.uint8)
    return np.hstack([part for panel in panels for part in (panel, gap)][:-1])


def difference(
    image: NDArray[np.uint8], golden: NDArray[np.uint16], now: NDArray[np.uint16]
) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: the image in dark grey, and the pixels that are missing, added or of another class now."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) // 2
    drawn = np.repeat(grey[..., None], 3, axis=2)
    differs = golden != now
    drawn[differs & (golden > 0) & (now > 0)] = OTHER_RGB
    drawn[differs & (now == 0)] = MISSING_RGB
    drawn[differs & (golden == 0)] = ADDED_RGB
    return drawn


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """image: (H, W, 3) RGB."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return bytes(data)


def _overlay(
    image: NDArray[np.uint8], result: FrameResult, vocabulary: Vocabulary
) -> NDArray[np.uint8]:
    ids = np.array([0, *vocabulary.ids], vocabulary.label_ids.dtype)
    label = ids[result.label]
    id_of = dict(zip(vocabulary.names, vocabulary.ids, strict=True))
    objects = [_detected(thing, id_of[thing.class_name]) for thing in result.objects]
    return draw_overlay(image, label, objects, vocabulary)


def _detected(thing: FoundObject, class_id: int) -> DetectedObject:
    return DetectedObject(class_id, thing.score, thing.box, thing.mask, thing.track_id)


def _as_bytes(image: RgbImage) -> NDArray[np.uint8]:
    shift = 8 * (image.dtype.itemsize - 1)
    return np.ascontiguousarray((image >> shift).astype(np.uint8))
