# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The vocabularies that a loaded model needs no trial for, because it has inferred with their prompts before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import replace
from typing import Any

from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

_MAX_KEPT = 4096
"""As many prompts as a `PromptCache` keeps; the oldest are dropped, and get a trial again."""
_FEW_PROMPTS = 64
"""Families decode so many at a time on a CPU, so that more of them hardly need more memory."""


class PassedTrials:
    """Remembers what has passed the trial of one loaded model. Not thread-safe.

    A trial exists to find what only inference shows: outputs that are not finite, memory or time that does not
    suffice, errors of a model's code. The first and the last depend on the weights and on each prompt, which stay the
    same; the second on the number of prompts. So a vocabulary passes without inference when each of its prompts has
    passed and there are not more of them than in the largest vocabulary that passed or, on a CPU, than 64. Encoding,
    which refuses prompts that a model cannot take, is never left out.

    Where a model reads all prompts as one text, known prompts in another combination are new to it: there the whole
    list of prompts must have passed. A class with exemplars always gets a trial, as exemplars are encoded each time.
    Names, ids and thresholds do not count: they apply to the network's outputs.
    """

    def __init__(self, segmenter: Segmenter[Any]) -> None:
        """Start without any, for a model that has just been loaded."""
        self.segmenter = segmenter
        self._passed: OrderedDict[Hashable, None] = OrderedDict()
        self._most_prompts = 0

    def cover(self, vocabulary: Vocabulary) -> bool:
        """Return whether a vocabulary needs no trial."""
        rows = _rows(vocabulary.classes)
        if not rows or any(row.exemplars for row in rows):
            return False
        most = self._most_prompts
        if self.segmenter.device == "cpu":
            most = max(most, _FEW_PROMPTS)
        return _cost(rows) <= most and all(key in self._passed for key in self._keys(rows))

    def add(self, vocabulary: Vocabulary) -> None:
        """Remember a vocabulary that has passed its trial."""
        rows = [row for row in _rows(vocabulary.classes) if not row.exemplars]
        self._most_prompts = max(self._most_prompts, _cost(rows))
        for key in self._keys(rows):
            self._passed[key] = None
            self._passed.move_to_end(key)
        while len(self._passed) > _MAX_KEPT:
            self._passed.popitem(last=False)

    def _keys(self, rows: list[TargetClass]) -> Iterable[Hashable]:
        return rows if self.segmenter.prompts_are_independent else [tuple(rows)]


def _cost(rows: list[TargetClass]) -> int:
    """Return how many prompts and negatives there are, the negatives of a class once for each of its prompts."""
    return len(rows) + sum(len(row.negatives) for row in rows)


def _rows(classes: Iterable[TargetClass]) -> list[TargetClass]:
    """Return a class of its own for each prompt, without what does not reach the network.

    All other fields of a class stay, so that a class that differs in one of them is a new one.
    """
    return [
        replace(target, name="", prompts=(prompt,), threshold=0.0, id=0)
        for target in classes
        for prompt in target.effective_prompts or ("",)
    ]
