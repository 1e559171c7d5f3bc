# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Training prompts, and the pairs that each of them describes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.names import (
    ALL_PAIRS,
    COLOUR_SYNONYMS,
    COLOURS,
    HELD_OUT_PAIRS,
    KIND_SYNONYMS,
    KINDS,
    SEEN_PAIRS,
)

UNKNOWN_WORD = "?unknown?"
"""Stands for every word that is not in the tokenizer's vocabulary."""


@dataclass(frozen=True)
class PromptBatch:
    """Prompts (K) with their targets; column 0 is the background, then `ALL_PAIRS`.

    matches: (K, 1 + pairs) bool, the pairs that a prompt describes.
    judged: (K, 1 + pairs) bool, the pairs that count in the loss. No training image shows a red duck; a loss on
        red objects for the prompt "duck" would teach that red objects are no ducks.
    """

    prompts: tuple[str, ...]
    matches: NDArray[np.bool_]
    judged: NDArray[np.bool_]


def _pick(words: tuple[str, ...], rng: np.random.Generator) -> str:
    """Return the plain name half of the time, otherwise any synonym."""
    return words[0] if rng.random() < 0.5 else words[int(rng.integers(len(words)))]


def _decorate(words: list[str], rng: np.random.Generator) -> str:
    """Join the words, sometimes with an article and sometimes with an unknown word in front."""
    if rng.random() < 0.10:
        words = [UNKNOWN_WORD, *words]
    if rng.random() < 0.15:
        words = ["a" if rng.random() < 0.5 else "the", *words]
    return " ".join(words)


def colour_and_kind(colour: str, kind: str, rng: np.random.Generator) -> str:
    kind_words = _pick(KIND_SYNONYMS[kind], rng)
    return _decorate([_pick(COLOUR_SYNONYMS[colour], rng), kind_words], rng)


def sample_prompts(rng: np.random.Generator) -> PromptBatch:
    """Return the prompts of one training step: every training pair, every kind, every colour, and unknown words."""
    prompts: list[str] = []
    matches: list[NDArray[np.bool_]] = []
    judged: list[NDArray[np.bool_]] = []

    def add(prompt: str, colour: str | None, kind: str | None) -> None:
        prompts.append(prompt)
        matches.append(_matches(colour, kind))
        judged.append(_judged(colour, kind))

    for pair in SEEN_PAIRS:
        add(colour_and_kind(*pair, rng), *pair)
    for kind in KINDS:
        add(_decorate([_pick(KIND_SYNONYMS[kind], rng)], rng), None, kind)
    for colour in COLOURS:
        noun = ["thing"] if rng.random() < 0.5 else []
        add(_decorate([_pick(COLOUR_SYNONYMS[colour], rng), *noun], rng), colour, None)
    add(UNKNOWN_WORD, None, None)
    for colour in rng.choice(COLOURS, 3, replace=False):
        add(_decorate([str(colour), UNKNOWN_WORD], rng), None, None)
    return PromptBatch(tuple(prompts), np.stack(matches), np.stack(judged))


def _matches(colour: str | None, kind: str | None) -> NDArray[np.bool_]:
    """Return the pairs that a prompt describes; without colour and kind, none."""
    if colour is None and kind is None:
        return np.zeros(1 + len(ALL_PAIRS), np.bool_)
    pairs = [colour in (None, c) and kind in (None, k) for c, k in ALL_PAIRS]
    return np.array([False, *pairs])


def _judged(colour: str | None, kind: str | None) -> NDArray[np.bool_]:
    pairs = [
        (c, kind) not in HELD_OUT_PAIRS and (colour, k) not in HELD_OUT_PAIRS for c, k in ALL_PAIRS
    ]
    return np.array([True, *pairs])
