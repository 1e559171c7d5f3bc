"""The two halves of a detector with a mask model behind it: phrases to boxes, and boxes to masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from zs_seg_ros.types import RgbImage

Prompts = TypeVar("Prompts")


@dataclass(frozen=True, eq=False)
class Boxes:
    """What a detector found in one image.

    corners: (N, 4) float32, left, top, right, bottom in pixels of the image; they may lie outside it. scores: (N,)
    float32, 0..1. prompt_index: (N,) int64. One place may come several times, once for each phrase that fits.
    """

    corners: Tensor
    scores: Tensor
    prompt_index: Tensor


class Detector(ABC, Generic[Prompts]):
    """Finds phrases as boxes. Thread-safe like a `Segmenter`."""

    model: str
    """As the user named it."""
    device: str
    caution: str = ""
    """As in `Segmenter`."""

    @abstractmethod
    def encode(self, prompts: Sequence[str]) -> Prompts:
        """Prepare phrases, at least one. Raises VocabularyError for one that this model cannot read."""

    @abstractmethod
    def detect(
        self, images: Sequence[RgbImage], encoded: Prompts, thresholds: NDArray[np.float32]
    ) -> list[Boxes]:
        """For each image the boxes whose score reaches the threshold of their phrase. thresholds: (P,), 0..1."""


class BoxSegmenter(ABC):
    """Turns boxes into masks. Thread-safe like a `Segmenter`."""

    model: str
    """As the user named it."""

    @abstractmethod
    def masks(self, images: Sequence[RgbImage], boxes: Sequence[Tensor]) -> list[Tensor]:
        """For each image (N, h, w) logits that cover the whole image, more than 0 on the thing.

        boxes: one (N, 4) per image, as in `Boxes.corners`; an image without boxes costs nothing.
        """
