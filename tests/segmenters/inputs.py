"""What the tests give to models: images, boxes, words, and how they ask."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.boxes_then_masks.boxes import Boxes, Detector
from zs_seg_ros.types import Batch, Segmentation
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary


def noise(height: int = 48, width: int = 80, seed: int = 0) -> NDArray[np.uint8]:
    """An image in which every pixel is any colour."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def blots(height: int = 48, width: int = 64, seed: int = 0) -> NDArray[np.uint8]:
    """An image of squares, so that a place differs from its neighbours but not from pixel to pixel."""
    squares = noise(1 + height // 8, 1 + width // 8, seed)
    return squares.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]


def boxes_in(size: tuple[int, int], count: int = 6) -> Tensor:
    """(count, 4) float32 boxes in an image of `size` (H, W)."""
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(0))
    low, high = corners.amin(dim=1), corners.amax(dim=1)
    return torch.cat([low, high], dim=1) * torch.tensor([size[1], size[0]] * 2)


def words(*names: str) -> Vocabulary:
    return Vocabulary().changed_to(TargetClass(name) for name in names)


def segment(
    segmenter: Segmenter[Any],
    vocabulary: Vocabulary,
    *images: NDArray[np.uint8],
    threshold: float = 0.5,
) -> list[Segmentation]:
    batch = Batch(images, vocabulary.thresholds(threshold))
    return segmenter.segment(batch, segmenter.encode(vocabulary))


def detect(
    detector: Detector[Any],
    prompts: tuple[str, ...],
    *images: NDArray[np.uint8],
    threshold: float = 0.0,
) -> list[Boxes]:
    """threshold: of every phrase."""
    thresholds = np.full(len(prompts), threshold, np.float32)
    return detector.detect(images, detector.encode(prompts), thresholds)
