# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The words of prompts as a dense embedding model reads them: plurals, articles, attributes and the order of words."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


def split_words(prompt: str) -> list[str]:
    """Split a prompt into lower-case words; everything that is neither letter nor digit separates them."""
    return "".join(c if c.isalnum() else " " for c in prompt.lower()).split()


def singular(word: str, known: Collection[str]) -> str:
    """Return a known word of which `word` is the English plural, or `word` itself: "mugs", "boxes", "teddies"."""
    if word in known or not word.endswith("s"):
        return word
    forms = [word[:-1]]
    if word.endswith("es"):
        forms.append(word[:-2])
    if word.endswith("ies"):
        forms.append(word[:-3] + "y")
    return next((form for form in forms if form in known), word)


@dataclass(frozen=True)
class WordRules:
    """What a model does with some words before it embeds a prompt.

    known: the words that have embeddings. silent: words without meaning, as articles, which are left out. ignored:
    attributes that the model cannot distinguish and leaves out, such as "wooden". leading: words that come first in
    whatever place they are written, as colours, since the meaning of a word depends on the word that follows.
    """

    known: frozenset[str]
    silent: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()
    leading: frozenset[str] = frozenset()

    def normalised(self, words: list[str]) -> list[str]:
        """Return the words to embed. A prompt of words that are left out alone keeps them."""
        forms = [self._form(word) for word in words]
        left_out = self.silent | self.ignored
        kept = [word for word in forms if word not in left_out] or forms
        first = [word for word in kept if word in self.leading]
        return first + [word for word in kept if word not in self.leading]

    def ignored_in(self, words: list[str]) -> list[str]:
        """List the attributes that are left out of a prompt, in order."""
        forms = [self._form(word) for word in words]
        if all(form in self.silent | self.ignored for form in forms):
            return []
        return [word for word, form in zip(words, forms, strict=True) if form in self.ignored]

    def unknown_in(self, words: list[str]) -> list[str]:
        """List the words of a prompt that are neither embedded nor left out, in order."""
        kept = set(self.normalised(words))
        return [w for w in words if (f := self._form(w)) in kept and f not in self.known]

    def _form(self, word: str) -> str:
        return singular(word, self.known | self.silent | self.ignored)
