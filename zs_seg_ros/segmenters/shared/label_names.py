# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The fixed labels of a closed-set model, and the lookup of a prompt among them."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.shown import quoted
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

_FEW = 20  # as many labels still make a readable sentence
_CLOSEST = 5


class LabelNames:
    """The labels of a model by their names.

    A label of several synonyms, such as ADE20K's "door;double door" or "tree, flora", has each of them and the whole as
    its names. Capitals and repeated spaces are ignored. One name can belong to several labels.
    """

    def __init__(self, model: str, folder: Path, id2label: Mapping[int, str]) -> None:
        self.model = model
        self._folder = folder
        self.labels = {int(number): str(label) for number, label in id2label.items()}
        self._numbers: dict[str, list[int]] = defaultdict(list)
        for number, label in self.labels.items():
            for name in dict.fromkeys(_plain(name) for name in (label, *re.split("[;,]", label))):
                self._numbers[name].append(number)

    def numbers_of(self, vocabulary: Vocabulary) -> list[tuple[int, ...]]:
        """List for each class the numbers of its labels, each once.

        Raises VocabularyError for the first prompt that is no label; the message lists labels.
        """
        return [
            tuple(
                dict.fromkeys(
                    n for p in target.effective_prompts for n in self._find(p, target.name)
                )
            )
            for target in vocabulary.classes
        ]

    def _find(self, prompt: str, name: str) -> list[int]:
        numbers = self._numbers.get(_plain(prompt), [])
        if not numbers:
            of_class = "" if prompt == name else f" (of class {quoted(name)})"
            raise VocabularyError(
                f"{self.model} takes no words but its own labels, and {quoted(prompt)}{of_class} is none of them; "
                f"{self._known_labels(prompt)}"
            )
        return numbers

    def _known_labels(self, prompt: str) -> str:
        if len(self.labels) <= _FEW:
            return f"it knows {', '.join(map(quoted, self.labels.values()))}"
        closest = difflib.get_close_matches(_plain(prompt), self._numbers, _CLOSEST, cutoff=0.0)
        shown = {number for name in closest for number in self._numbers[name]}
        return (
            f"closest are {', '.join(map(quoted, closest))}, and {len(self.labels) - len(shown)} more labels stand "
            f"under id2label in {self._folder / 'config.json'}"
        )


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())
