"""The fixed labels of a closed-set model, and finding the one that a word means."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

_FEW = 20  # so many still make a readable sentence
_CLOSEST = 5


class LabelNames:
    """The labels of a model by their words.

    A label of several words for one thing, such as ADE20K's "door;double door" or "tree, flora", goes by each of them
    and by the whole. Capitals and repeated spaces do not count. One word can mean several labels.
    """

    def __init__(self, model: str, folder: Path, id2label: Mapping[int, str]) -> None:
        self.model = model
        self._folder = folder
        self.labels = {int(number): str(label) for number, label in id2label.items()}
        self._numbers: dict[str, list[int]] = defaultdict(list)
        for number, label in self.labels.items():
            for word in dict.fromkeys(_plain(word) for word in (label, *re.split("[;,]", label))):
                self._numbers[word].append(number)

    def numbers_of(self, vocabulary: Vocabulary) -> list[tuple[int, ...]]:
        """For each class the numbers of its labels, each once.

        Raises VocabularyError for the first phrase that is no label; it lists those that are.
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
            of_class = "" if prompt == name else f" (of class {name!r})"
            raise VocabularyError(
                f"{self.model} takes no words but its own labels, and {prompt!r}{of_class} is none of them; "
                f"{self._what_it_knows(prompt)}"
            )
        return numbers

    def _what_it_knows(self, prompt: str) -> str:
        if len(self.labels) <= _FEW:
            return f"it knows {', '.join(map(repr, self.labels.values()))}"
        closest = difflib.get_close_matches(_plain(prompt), self._numbers, _CLOSEST, cutoff=0.0)
        shown = {number for word in closest for number in self._numbers[word]}
        return (
            f"closest are {', '.join(map(repr, closest))}, and {len(self.labels) - len(shown)} more labels stand "
            f"under id2label in {self._folder / 'config.json'}"
        )


def _plain(words: str) -> str:
    return " ".join(words.casefold().split())
