# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Rows of prompts and example images of a vocabulary, and the refusal of examples by families without them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.segmenters.deadline import check_time
from zs_seg_ros.shown import quoted
from zs_seg_ros.vocabulary.vocabulary import Exemplar, Vocabulary

Row = TypeVar("Row")

_TAKERS = (
    "CLIPSeg, TIPSv2, SAM 3, OWLv2 with a mask model, or dense embedding models such as tabletop"
)


@dataclass(frozen=True, eq=False)
class ClassRows(Generic[Row]):
    """What was encoded of each prompt and exemplar (P), those of a class behind each other, in the order of classes.

    class_of_row[i]: the index of the class of rows[i]. is_exemplar[i]: whether rows[i] is of an example image.
    is_negative[i]: whether it is of a negative, which wins against the class.
    """

    rows: tuple[Row, ...]
    class_of_row: tuple[int, ...]
    is_exemplar: tuple[bool, ...]
    is_negative: tuple[bool, ...]

    def of_prompts(self) -> list[int]:
        """List the indices of the rows that are of prompts which describe their class."""
        kinds = zip(self.is_exemplar, self.is_negative, strict=True)
        return [i for i, kind in enumerate(kinds) if not any(kind)]


def rows_by_class(
    vocabulary: Vocabulary, of_prompts: Sequence[Row], encode_exemplar: Callable[[Exemplar], Row]
) -> ClassRows[Row]:
    """Encode each exemplar, and put it behind the encoded prompts and negatives of its class.

    of_prompts: in the order of `flat_prompts`.

    Raises VocabularyError when the time limit of the vocabulary passes.
    """
    rows: list[Row] = []
    class_of_row: list[int] = []
    is_exemplar: list[bool] = []
    is_negative: list[bool] = []
    prompts = iter(of_prompts)
    for index, target in enumerate(vocabulary.classes):
        positives, negatives = len(target.effective_prompts), len(target.negatives)
        words = list(itertools.islice(prompts, positives + negatives))
        examples = []
        for exemplar in target.exemplars:
            check_time()
            examples.append(encode_exemplar(exemplar))
        rows += words + examples
        class_of_row += [index] * (len(words) + len(examples))
        is_exemplar += [False] * len(words) + [True] * len(examples)
        is_negative += [False] * positives + [True] * negatives + [False] * len(examples)
    return ClassRows(tuple(rows), tuple(class_of_row), tuple(is_exemplar), tuple(is_negative))


def refuse_exemplars(vocabulary: Vocabulary, model: str) -> None:
    """Raise VocabularyError when a class comes with example images, for a model that takes words only."""
    for target in vocabulary.classes:
        if target.exemplars:
            raise VocabularyError(
                f"class {quoted(target.name)} comes with example images, which the model {model} cannot use; "
                f"describe it in words, or load a model that takes examples: {_TAKERS}"
            )
