# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""From logits of prompts to logits of classes: the maximum over a class's prompts, and what wins against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from zs_seg_ros.segmenters.shared.constants import constant_integers


@dataclass(frozen=True, eq=False)
class ClassLogits:
    """Logits (k, h, w) of some classes, one channel per class.

    classes: (k,), the index of each one's class in the vocabulary. against: for the channels of classes with negatives,
    the maximum (h, w) over these; the class has no pixel where that is higher.
    """

    logits: Tensor
    classes: tuple[int, ...]
    against: Mapping[int, Tensor] = field(default_factory=dict)


def class_logits(
    logits: Tensor, class_of_row: Sequence[int], is_negative: Sequence[bool]
) -> ClassLogits:
    """Reduce logits (P, h, w) of prompts, exemplars and negatives to those of their classes.

    class_of_row: (P,), the index of each row's class. is_negative: (P,). The classes keep the order in which they
    first occur. Each class has a row that is no negative.
    """
    classes = tuple(dict.fromkeys(class_of_row))
    channel_of = {index: channel for channel, index in enumerate(classes)}
    positives = [row for row, negative in enumerate(is_negative) if not negative]
    if len(positives) == len(is_negative):
        channels = [channel_of[index] for index in class_of_row]
        return ClassLogits(max_over_prompts(logits, channels, len(classes)), classes)
    channels = [channel_of[class_of_row[row]] for row in positives]
    negatives: dict[int, list[int]] = {}
    for row, negative in enumerate(is_negative):
        if negative:
            negatives.setdefault(channel_of[class_of_row[row]], []).append(row)
    return ClassLogits(
        max_over_prompts(_rows(logits, positives), channels, len(classes)),
        classes,
        {channel: _rows(logits, rows).amax(dim=0) for channel, rows in negatives.items()},
    )


def _rows(logits: Tensor, rows: list[int]) -> Tensor:
    """Return some rows (p, h, w) of logits (P, h, w); a list as an index would be uploaded for every image."""
    return logits.index_select(0, constant_integers(tuple(rows), logits.device))


def max_over_prompts(logits: Tensor, class_of_prompt: Sequence[int], class_count: int) -> Tensor:
    """Reduce logits (P, h, w) of prompts to (K, h, w) of classes, each the maximum over the prompts of the class."""
    if tuple(class_of_prompt) == tuple(range(class_count)):
        return logits
    index = constant_integers(tuple(class_of_prompt), logits.device)
    start = logits.new_full((class_count, *logits.shape[1:]), -torch.inf)
    return start.scatter_reduce(0, index[:, None, None].expand_as(logits), logits, "amax")
