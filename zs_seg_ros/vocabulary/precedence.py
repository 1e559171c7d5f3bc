# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Which of two classes is the more specific one, by the words of their prompts: "white mug" is more so than "mug"."""

from __future__ import annotations

import graphlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from types import MappingProxyType

from zs_seg_ros.vocabulary.text import compared

_ARTICLES = frozenset(("a", "an", "the"))
_VAGUE = frozenset(("thing", "object", "stuff", "item", "something", "anything"))
"""Words that describe every object, in the singular: they make no prompt more specific."""
_SHORTEST_PLURAL = 4
_CHARACTERS_OF_WORDS = "LMN"

Words = frozenset[str]


@dataclass(frozen=True)
class Precedence:
    """Which classes win against others wherever they reach their own threshold, whatever the confidence.

    specific: for the index of a general class, the indices of the classes that are more specific, rising. A general
    class comes before those of its more specific classes that are general ones themselves. No class is, over others,
    more specific than itself.
    """

    specific: Mapping[int, tuple[int, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def specific_classes(self) -> frozenset[int]:
        """The indices of the classes that are more specific than another one."""
        return frozenset(index for classes in self.specific.values() for index in classes)


CONFIDENCE_ALONE = Precedence()
"""No class is more specific than another one."""


def precedence_of(prompts: Sequence[Iterable[str]]) -> Precedence:
    """Return the precedence of classes. prompts: those of each class, in the order of the classes.

    A class is more specific than another one when one of its prompts has all content words of one of the other's, and
    more. Of the prompts of one class only the most specific ones count: "mug" does not beside "white mug". Classes that
    share a prompt, and those that are more specific than each other, directly or over others, have no precedence.
    """
    words_of = [
        {words for text in texts if (words := content_words(text)) is not None} for texts in prompts
    ]
    generals = _without_circles(_more_general(words_of))
    specific: dict[int, list[int]] = defaultdict(list)
    for index, more_general in enumerate(generals):
        for general in more_general:
            specific[general].append(index)
    order = graphlib.TopologicalSorter(dict(enumerate(generals))).static_order()
    return Precedence(MappingProxyType({i: tuple(specific[i]) for i in order if i in specific}))


def content_words(prompt: str) -> Words | None:
    """Return the words of a prompt in the singular, without articles and words that describe every object.

    Words are runs of letters, marks and numbers: in scripts without spaces a whole phrase is one. A prompt of words
    that describe every object alone, "an object", has no content, so that every other one is more specific. None for a
    prompt without words, and for an article alone, such as the letter A.
    """
    text = compared(prompt)
    spaced = (c if unicodedata.category(c)[0] in _CHARACTERS_OF_WORDS else " " for c in text)
    words = frozenset(map(_singular, "".join(spaced).split())) - _ARTICLES
    return words - _VAGUE if words else None


def _singular(word: str) -> str:
    plural = len(word) >= _SHORTEST_PLURAL and word.endswith("s") and not word.endswith("ss")
    return word[:-1] if plural else word


def _more_general(words_of: Sequence[Set[Words]]) -> list[set[int]]:
    """Return for each class the indices of those that it is more specific than. words_of: of the prompts of each."""
    classes_of: dict[Words, set[int]] = defaultdict(set)
    for index, of_class in enumerate(words_of):
        for words in of_class:
            if not any(words < other for other in of_class):
                classes_of[words].add(index)
    with_word: dict[str, list[Words]] = defaultdict(list)
    for words in classes_of:
        for word in words:
            with_word[word].append(words)
    more_general: list[set[int]] = [set() for _ in words_of]
    for fewer, generals in classes_of.items():
        # Those that have all its words have the rarest of them.
        candidates = min((with_word[word] for word in fewer), key=len, default=list(classes_of))
        for more in candidates:
            if fewer < more:
                for index in classes_of[more]:
                    more_general[index] |= generals
    return [
        {i for i in generals if words_of[i].isdisjoint(words_of[index])}
        for index, generals in enumerate(more_general)
    ]


def _without_circles(more_general: Sequence[Set[int]]) -> list[set[int]]:
    """Leave out the pairs of classes that are more specific than each other, directly or over others."""
    reached = _reached(more_general)
    return [
        {general for general in generals if not reached[general] >> index & 1}
        for index, generals in enumerate(more_general)
    ]


def _reached(more_general: Sequence[Set[int]]) -> list[int]:
    """Return for each class a number whose bits are set for the classes that are more general, also over others."""
    reached = [0] * len(more_general)
    changed = True
    while changed:
        changed = False
        for index, generals in enumerate(more_general):
            bits = reached[index]
            for general in generals:
                bits |= reached[general] | 1 << general
            changed |= bits != reached[index]
            reached[index] = bits
    return reached
