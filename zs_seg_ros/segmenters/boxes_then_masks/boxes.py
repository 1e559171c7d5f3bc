# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The interfaces of detectors (phrases to boxes) and of promptable mask models (boxes to masks)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from zs_seg_ros.types import RgbImage

Prompts = TypeVar("Prompts")


@dataclass(frozen=True, eq=False)
class Boxes:
    """The detections in one image as bounding boxes, in tensors on the CPU, where boxes are chosen.

    corners: (N, 4) float32, left, top, right, bottom in pixels of the image; they may lie outside it. scores: (N,)
    float32, 0..1. prompt_index: (N,) int64, the index of each one's phrase. The same box may occur several times, once
    for each phrase whose threshold it reaches.
    """

    corners: Tensor
    scores: Tensor
    prompt_index: Tensor


class Detector(ABC, Generic[Prompts]):
    """An open-vocabulary object detector: phrases to bounding boxes. Thread-safe like a `Segmenter`."""

    model: str
    """The checkpoint as the user named it."""
    device: str
    """The device as torch names it, for example 'cpu' or 'cuda:0'."""
    precision: str = ""
    """The same as `Segmenter.precision`."""
    engine: str = "torch"
    """The same as `Segmenter.engine`."""
    caution: str = ""
    """The sentence that `Segmenter.caution` shows for this detector."""
    takes_input_size: ClassVar[bool] = False
    """The same as `Segmenter.takes_input_size`."""
    prompts_are_independent: ClassVar[bool] = False
    """The same as `Segmenter.prompts_are_independent`."""

    @abstractmethod
    def encode(self, prompts: Sequence[str]) -> Prompts:
        """Encode phrases, at least one, for `detect`.

        Raises VocabularyError for a phrase that this model cannot encode.
        """

    @abstractmethod
    def detect(
        self, images: Sequence[RgbImage], encoded: Prompts, thresholds: NDArray[np.float32]
    ) -> list[Boxes]:
        """Return for each image the boxes whose score reaches the threshold of their phrase.

        thresholds: (P,) float32, 0..1, one per phrase.
        """


class BoxSegmenter(ABC):
    """A mask model that takes boxes as prompts. Thread-safe like a `Segmenter`."""

    model: str
    """The checkpoint as the user named it."""
    precision: str = ""
    """The same as `Segmenter.precision`."""
    engine: str = "torch"
    """The same as `Segmenter.engine`."""
    takes_input_size: ClassVar[bool] = False
    """The same as `Segmenter.takes_input_size`."""

    @abstractmethod
    def masks(self, images: Sequence[RgbImage], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Return for each image the mask logits of its boxes, (N, h, w): above 0 on the object, covering the image.

        boxes: one (N, 4) per image, as in `Boxes.corners`; the masks stay on the model's device. An image without
        boxes is not encoded.
        """
