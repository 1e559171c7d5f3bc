# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The detections of SAM 3 in one image, before they become instances of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from zs_seg_ros.segmenters.shared.instances import not_negative, without_duplicates
from zs_seg_ros.segmenters.shared.transfers import uploaded


class Presence:
    """The presence score of each class in one image, 0..1 by the class's index: the maximum over its prompts."""

    def __init__(self) -> None:
        self.scores: dict[int, float] = {}

    def add(self, scores: Tensor, class_index: Sequence[int], is_negative: Sequence[bool]) -> None:
        """Add the scores (P,) of phrases, on the CPU. Those of negatives are left out."""
        for score, index, negative in zip(scores.tolist(), class_index, is_negative, strict=True):
            if not negative:
                self.scores[index] = max(score, self.scores.get(index, 0.0))


class Detections(NamedTuple):
    """N instances whose score reaches the threshold of their class.

    masks: (N, h, w), 0..1, on the device; the others are on the CPU. boxes: (N, 4), left, top, right, bottom, as shares
    0..1 of the image. The others: (N,).
    """

    masks: Tensor
    boxes: Tensor
    scores: Tensor
    prompt_index: Tensor
    class_index: Tensor

    def chosen(self, index: Tensor) -> Detections:
        """Return the instances with the indices `index` (M,), in that order."""
        masks = self.masks[uploaded(index, self.masks.device)]
        return Detections(masks, *(column[index] for column in self[1:]))

    def joined(self, others: Detections) -> Detections:
        """Return these and, behind them, the others."""
        return Detections(*map(torch.cat, zip(self, others, strict=True)))

    def most_confident(self, most: int, is_negative: tuple[bool, ...]) -> Detections:
        """Return at most `most` in falling order of score, and behind them as many of negatives."""
        order = self.scores.argsort(descending=True, stable=True)
        if not any(is_negative):
            return self.chosen(order[:most])
        negative = torch.tensor(is_negative)[self.prompt_index[order]]
        return self.chosen(torch.cat([order[kind][:most] for kind in (~negative, negative)]))

    def without_negatives(self, is_negative: tuple[bool, ...]) -> Detections:
        """Return those that no negative of their class beats."""
        kept = not_negative(
            self.boxes.numpy(),
            self.scores.numpy(),
            self.class_index.tolist(),
            [is_negative[prompt] for prompt in self.prompt_index.tolist()],
        )
        return self.chosen(torch.tensor(kept, dtype=torch.int64))

    def without_duplicates(self) -> Detections:
        """Return the most confident where several prompts of one class detected the same object."""
        kept = without_duplicates(
            self.boxes.numpy(),
            self.scores.numpy(),
            self.class_index.tolist(),
            self.prompt_index.tolist(),
        )
        return self.chosen(torch.tensor(kept, dtype=torch.int64))
