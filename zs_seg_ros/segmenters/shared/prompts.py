# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The prompts of a vocabulary as one flat list, and warnings about those that a model can hardly distinguish."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.segmenters.deadline import check_time
from zs_seg_ros.shown import quoted
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

_FEATURES_PER_BLOCK = 256
_ROWS_PER_CHUNK = 64
"""Bounds the memory: the logits of 64 prompts at 352x352 are 32 MB."""


@dataclass(frozen=True)
class FlatPrompts:
    """The prompts (P) of all classes, each class's negatives included.

    class_of_prompt: for each the index of its class. is_negative: for each whether it wins against its class.
    """

    prompts: tuple[str, ...]
    class_of_prompt: tuple[int, ...]
    is_negative: tuple[bool, ...]

    @property
    def positives(self) -> list[int]:
        """The indices of the prompts that describe their class."""
        return [index for index, negative in enumerate(self.is_negative) if not negative]


def flat_prompts(vocabulary: Vocabulary) -> FlatPrompts:
    """List the prompts of all classes in the order of the classes: those of a class, then its negatives."""
    rows = [
        (text, index, negative)
        for index, target in enumerate(vocabulary.classes)
        for negative, texts in ((False, target.effective_prompts), (True, target.negatives))
        for text in texts
    ]
    return FlatPrompts(
        tuple(text for text, _, _ in rows),
        tuple(index for _, index, _ in rows),
        tuple(negative for _, _, negative in rows),
    )


def class_chunks(class_of_row: Sequence[int]) -> Iterator[slice]:
    """Divide rows of features into chunks of about 64 for decoding, so that each class is in one chunk.

    class_of_row: the index of each row's class; the rows of a class follow each other. Yields the rows of a chunk.
    """
    start = 0
    for row in range(1, len(class_of_row) + 1):
        at_end = row == len(class_of_row)
        if at_end or (
            row - start >= _ROWS_PER_CHUNK and class_of_row[row] != class_of_row[row - 1]
        ):
            yield slice(start, row)
            start = row


def refuse_negatives(vocabulary: Vocabulary, model: str) -> None:
    """Raise VocabularyError when a class has negatives, for a model of a fixed set of names."""
    for target in vocabulary.classes:
        if target.negatives:
            raise VocabularyError(
                f"class {quoted(target.name)} has negatives, and the model {model} knows a fixed set of names, which "
                "exclude each other already; take the negatives out"
            )


def similarity_warnings(
    vocabulary: Vocabulary, class_of_feature: tuple[int, ...], features: Tensor, limit: float
) -> list[str]:
    """Warn in one sentence of each two classes with features whose cosine similarity is above `limit`.

    features: (P, D), any scale; class_of_feature[i] is the index of the class that features[i] describes.
    """
    closest = _closest_features(class_of_feature, features, len(vocabulary.classes))
    pairs = np.argwhere(np.triu(closest, 1) > limit)
    names = vocabulary.names
    return [
        f"{quoted(names[a])} and {quoted(names[b])} look nearly the same to the model "
        f"(similarity {closest[a, b]:.2f}); expect it to mix them up, or describe them by what sets them apart"
        for a, b in pairs.tolist()
    ]


def _closest_features(
    class_of_feature: tuple[int, ...], features: Tensor, class_count: int
) -> NDArray[np.float32]:
    """Compute for each two classes the largest cosine similarity of their features: (K, K).

    A block of features at a time is compared with all: all with all could take more memory than the model.
    """
    unit = torch.nn.functional.normalize(features.float(), dim=-1)
    classes = np.array(class_of_feature, np.intp)
    closest = np.full((class_count, class_count), -np.inf, np.float32)
    for start in range(0, len(classes), _FEATURES_PER_BLOCK):
        check_time()
        block = slice(start, start + _FEATURES_PER_BLOCK)
        similarity = (unit[block] @ unit.T).cpu().numpy()
        np.maximum.at(closest, (classes[block, None], classes[None]), similarity)
    return closest
