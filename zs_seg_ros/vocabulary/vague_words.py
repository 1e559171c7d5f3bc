# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Words that name no kind of object, so that a model may label anything, or nothing, for them."""

from __future__ import annotations

import re

from zs_seg_ros.vocabulary.text import compared

VAGUE_WORDS = frozenset(
    (
        "object", "objects", "thing", "things", "something", "anything", "everything", "nothing", "all", "any", "one",
        "it", "this", "that", "these", "those", "them", "stuff", "item", "items", "entity", "entities", "element",
        "elements", "unit", "units", "article", "articles", "material", "materials", "piece", "pieces", "part", "parts",
        "shape", "shapes", "whatever", "other", "others", "rest", "misc", "unknown", "unlabeled", "unlabelled",
        "background", "foreground", "goods", "product", "products",
    )
)  # fmt: skip
"""Nouns and pronouns. A word that is vague only by itself, such as "part", does not count in "car part"."""
_FILLERS = frozenset(
    (
        "a", "an", "the", "some", "every", "each", "of", "in", "on", "photo", "image", "shot", "small", "big",
        "large", "little", "tiny", "huge", "new", "old", "nice", "good", "single", "generic", "real", "certain",
        "black", "white", "grey", "gray", "red", "green", "blue", "yellow", "orange", "brown", "purple", "pink",
        "violet", "dark", "light", "bright", "colourful", "colorful", "round", "square", "flat", "shiny",
    )
)  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+")


def vague_word(prompt: str) -> str:
    """Return the vague word of a prompt that has no word beside it that names a kind of object; empty without one.

    Sizes, colours and the like name none: "a small red object" is vague, "foreign object debris" is not.
    """
    words: list[str] = _WORD.findall(compared(prompt))
    vague = [word for word in words if word in VAGUE_WORDS]
    if not vague or any(word not in VAGUE_WORDS and word not in _FILLERS for word in words):
        return ""
    return vague[-1]
