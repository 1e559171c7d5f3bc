# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Warnings about the words of a vocabulary that hold for every model."""

from __future__ import annotations

import re
from itertools import combinations

from zs_seg_ros.shown import quoted, shown
from zs_seg_ros.vocabulary.text import compared
from zs_seg_ros.vocabulary.vague_words import vague_word
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

_SEPARATORS = re.compile(r"(?:(?<!\d),|,(?!\d)|[;|،、，；؛•／]|\s/\s)(?![^()]*\))")
"""Neither the comma of 3,5 mm nor those in parentheses."""
_CONJUNCTIONS = re.compile(r"\s*[/&+]\s*|,?\s+(?:and|or)\s+", re.IGNORECASE)
_LEADING_CONJUNCTION = re.compile(r"^(?:and|or)\s+", re.IGNORECASE)
_BRACKETS = re.compile(r"^(?:\[(.*)\]|\{(.*)\}|\((.*)\))$")
_ARTICLE = re.compile(r"^(an?|the)\s+", re.IGNORECASE)
_ADJECTIVES = frozenset(
    ("black", "white", "grey", "gray", "red", "green", "blue", "yellow", "orange", "brown", "purple", "pink", "violet",
     "silver", "golden", "beige", "dark", "light", "bright", "small", "big", "large")
)  # fmt: skip
_PREPOSITIONS = frozenset(
    ("with", "without", "of", "in", "on", "for", "from", "made", "wearing", "containing", "like")
)
"""Between such a word and a conjunction, one object is described: a table with red legs and white top."""
_MOST_PAIRS = 50


def word_warnings(vocabulary: Vocabulary) -> list[str]:
    """Warn of lists as names, of prompts that are shared or vague, and of classes that are kinds of each other."""
    return [
        *_lists_as_names(vocabulary),
        *_shared_prompts(vocabulary),
        *_specific_classes(vocabulary),
        *_vague_prompts(vocabulary),
    ]


def _vague_prompts(vocabulary: Vocabulary) -> list[str]:
    return [
        f"{quoted(word)} names no kind of object, in {quoted(prompt)}: a model labels anything, or nothing, for it; "
        "write what it looks like"
        for target in vocabulary.classes
        for prompt in target.effective_prompts
        if (word := vague_word(prompt))
    ][:_MOST_PAIRS]


def _lists_as_names(vocabulary: Vocabulary) -> list[str]:
    warnings = []
    for target in vocabulary.classes:
        parts = _parts(target.name)
        if len(parts) > 1 and not target.prompts and not target.exemplars:
            warnings.append(
                f"{quoted(target.name)} is one class, which the model takes for the description of one kind of object; "
                f"for several classes give a list: classes:=[{', '.join(map(shown, parts))}]"
            )
    return warnings


def _parts(name: str) -> list[str]:
    """Split a name that seems to be a list; return one entry for any other.

    Commas and the like separate, except beside adjectives: 'small, red mug'. 'and', 'or', '/', '&' and '+' do so
    between descriptions of two words or more, none of which ends in a colour or a size: 'red duck and white mug' is a
    list, 'black and white cat' is not.
    """
    if bracketed := _BRACKETS.match(name):
        name = next(filter(None, bracketed.groups()), name).strip()
    listed = [
        part
        for text in _SEPARATORS.split(name)
        if (part := _LEADING_CONJUNCTION.sub("", text.strip()))
    ]
    if len(listed) < 2:
        return _joined(name, may_be_words=False)
    if sum(not _is_adjectives(part) for part in listed) == 1:
        return [name]
    return [*listed[:-1], *_joined(listed[-1], may_be_words=True)]


def _joined(part: str, may_be_words: bool) -> list[str]:
    """Split at conjunctions between descriptions of objects, or between single words, as at the end of a list."""
    joined = [text.strip() for text in _CONJUNCTIONS.split(part)]
    words = may_be_words and all(len(text.split()) == 1 for text in joined)
    return joined if words or all(map(_describes_an_object, joined)) else [part]


def _is_adjectives(part: str) -> bool:
    return set(part.lower().split()) <= _ADJECTIVES


def _describes_an_object(part: str) -> bool:
    words = _ARTICLE.sub("", part).lower().split()
    return len(words) > 1 and words[-1] not in _ADJECTIVES and not _PREPOSITIONS & set(words)


def _shared_prompts(vocabulary: Vocabulary) -> list[str]:
    """Compare prompts without regard to case, widths and joiners: most text encoders do not read them."""
    classes_of: dict[str, list[str]] = {}
    for target in vocabulary.classes:
        for prompt in dict.fromkeys(map(compared, target.effective_prompts)):
            classes_of.setdefault(prompt, []).append(target.name)
    pairs = [
        (first, second, prompt)
        for prompt, names in classes_of.items()
        for first, second in combinations(names, 2)
    ]
    return [
        f"{quoted(first)} and {quoted(second)} have the same prompt, {quoted(prompt)}: the model cannot tell them "
        "apart, and one of them may get no pixels; give each prompt to one class"
        for first, second, prompt in pairs[:_MOST_PAIRS]
    ]


def _specific_classes(vocabulary: Vocabulary) -> list[str]:
    names = vocabulary.names
    pairs = [
        (names[index], names[general])
        for general, specific in vocabulary.precedence.specific.items()
        for index in specific
    ]
    return [
        f"{quoted(specific)} is a kind of {quoted(general)} by its words, and gets its pixels wherever it reaches its "
        f"threshold; raise the threshold of {quoted(specific)} if it gets too many"
        for specific, general in pairs[:_MOST_PAIRS]
    ]
