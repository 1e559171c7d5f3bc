# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Pixels of general classes that more specific ones get: "white mug" those of "mug" that reach its threshold."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.segmenters.shared.class_logits import ClassLogits
from zs_seg_ros.vocabulary.class_ids import LabelIds
from zs_seg_ros.vocabulary.precedence import Precedence


@dataclass(frozen=True, eq=False)
class _Kept:
    """The logits (h, w) of one class and its limit. against: those of its negatives; None without any."""

    logits: Tensor
    limit: float
    against: Tensor | None

    def resized(self, size: tuple[int, int]) -> tuple[Any, Any]:
        """Return the logits at `size` (H, W), and where the class has a pixel: arrays on a CPU, otherwise tensors."""
        full = _resized(self.logits, size)
        reaches = full >= self.limit
        if self.against is not None:
            reaches &= _resized(self.against, size) <= full
        return full, reaches


class SpecificClasses:
    """The logits of an image's specific classes, which are kept until its label image is there.

    On a CPU only classes that reach their limit somewhere are kept, so that the memory depends on what the image shows;
    another device would have to be waited for.
    """

    def __init__(self, precedence: Precedence, ids: LabelIds) -> None:
        """Create it for one image. ids: of all classes of the vocabulary."""
        self._precedence = precedence
        self._ids = ids
        self._concerned = precedence.specific_classes
        self._kept: dict[int, _Kept] = {}

    def concerns(self, classes: Collection[int]) -> bool:
        """Return whether any of the classes with these indices is kept when it reaches its limit."""
        return not self._concerned.isdisjoint(classes)

    def keep(self, chunk: ClassLogits, limits: Sequence[float]) -> None:
        """Keep what is needed of some classes. Their logits are finite; limits: (k,), the lowest that are enough."""
        for channel, index in enumerate(chunk.classes):
            if index in self._concerned:
                logits, limit = chunk.logits[channel], limits[channel]
                if logits.device.type != "cpu" or float(logits.max()) >= limit:
                    self._kept[index] = _Kept(logits.clone(), limit, chunk.against.get(channel))

    def relabel(self, label: Any, best: Any) -> tuple[Any, Any]:
        """Give pixels of general classes to the most confident specific one that reaches its limit.

        label: (H, W) of ids, an array or, of as many bits and perhaps signed, a tensor. best: (H, W), the logit of each
        pixel's class. Returns both, changed.
        """
        values = np.array(self._ids.values, self._ids.dtype)
        is_tensor = isinstance(label, Tensor)
        if is_tensor and values.dtype == np.uint16:
            values = values.view(np.int16)
        value_of, where = values.tolist(), torch.where if is_tensor else np.where
        for general, specific in self._precedence.specific.items():
            kept = [(i, self._kept[i]) for i in specific if i in self._kept]
            of_general = label == value_of[general]
            if not kept or (not is_tensor and not of_general.any()):
                continue
            for index, of_class in kept:
                full, reaches = of_class.resized(tuple(label.shape))
                wins = of_general & reaches & ((label == value_of[general]) | (full > best))
                label, best = where(wins, value_of[index], label), where(wins, full, best)
        return label, best


def _resized(logits: Tensor, size: tuple[int, int]) -> Any:
    """Resize (h, w) bilinearly to `size` (H, W): an array on a CPU, otherwise a tensor."""
    if logits.device.type == "cpu":
        return cv2.resize(logits.numpy(), size[::-1])
    return functional.interpolate(logits[None, None], size, mode="bilinear")[0, 0]
