# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Inputs of the tests of models: images, boxes and vocabularies, and calls with them."""

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
    """Make an image in which every pixel has a random colour."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def blots(height: int = 48, width: int = 64, seed: int = 0) -> NDArray[np.uint8]:
    """Make an image of squares of 8x8 pixels, each of one random colour."""
    squares = noise(1 + height // 8, 1 + width // 8, seed)
    return squares.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]


def boxes_in(size: tuple[int, int], count: int = 6) -> Tensor:
    """Make random boxes (count, 4) float32 in an image of `size` (H, W)."""
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(0))
    low, high = corners.amin(dim=1), corners.amax(dim=1)
    return torch.cat([low, high], dim=1) * torch.tensor([size[1], size[0]] * 2)


def words(*names: str) -> Vocabulary:
    """Make a vocabulary of classes with these names."""
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
    """Detect prompts in images. threshold: of every prompt."""
    thresholds = np.full(len(prompts), threshold, np.float32)
    return detector.detect(images, detector.encode(prompts), thresholds)


def assert_same_segmentation(
    segmentation: Segmentation, expected: Segmentation, share: float = 0.99
) -> None:
    """Compare the results of the same input in differently shaped computations, for example batches of other sizes.

    Sums in another order move logits by rounding errors. So at least `share` of the pixels must have the same label,
    and a confidence that differs by at most 1 of 255, because a value at the edge between two steps rounds either way.
    """
    difference = np.abs(segmentation.confidence.astype(int) - expected.confidence)
    assert ((segmentation.label == expected.label) & (difference <= 1)).mean() >= share
