"""Training phrases and which pairs each of them describes."""

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
"""A word that the model cannot know, in the place of all words that it cannot know."""


@dataclass(frozen=True)
class PromptBatch:
    """Phrases (K) and what is known of them; column 0 is the background, then `ALL_PAIRS`.

    matches: (K, 1 + pairs) bool, which pairs a phrase describes.
    judged: (K, 1 + pairs) bool, on which pairs the model is corrected. No training image shows a red duck;
        a model that is corrected on red things for "duck" learns that what is red is no duck.
    """

    prompts: tuple[str, ...]
    matches: NDArray[np.bool_]
    judged: NDArray[np.bool_]


def _pick(words: tuple[str, ...], rng: np.random.Generator) -> str:
    """The plain name half of the time, otherwise any synonym."""
    return words[0] if rng.random() < 0.5 else words[int(rng.integers(len(words)))]


def _decorate(words: list[str], rng: np.random.Generator) -> str:
    """Now and then an article, and now and then a word in front that means nothing to the model."""
    if rng.random() < 0.10:
        words = [UNKNOWN_WORD, *words]
    if rng.random() < 0.15:
        words = ["a" if rng.random() < 0.5 else "the", *words]
    return " ".join(words)


def colour_and_kind(colour: str, kind: str, rng: np.random.Generator) -> str:
    kind_words = _pick(KIND_SYNONYMS[kind], rng)
    return _decorate([_pick(COLOUR_SYNONYMS[colour], rng), kind_words], rng)


def sample_prompts(rng: np.random.Generator) -> PromptBatch:
    """All phrases of one training step: every pair that may be seen, every kind, every colour, and nonsense."""
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
        thing = ["thing"] if rng.random() < 0.5 else []
        add(_decorate([_pick(COLOUR_SYNONYMS[colour], rng), *thing], rng), colour, None)
    add(UNKNOWN_WORD, None, None)
    for colour in rng.choice(COLOURS, 3, replace=False):
        add(_decorate([str(colour), UNKNOWN_WORD], rng), None, None)
    return PromptBatch(tuple(prompts), np.stack(matches), np.stack(judged))


def _matches(colour: str | None, kind: str | None) -> NDArray[np.bool_]:
    """Of which pairs a phrase speaks; without colour and kind, of none."""
    if colour is None and kind is None:
        return np.zeros(1 + len(ALL_PAIRS), np.bool_)
    pairs = [colour in (None, c) and kind in (None, k) for c, k in ALL_PAIRS]
    return np.array([False, *pairs])


def _judged(colour: str | None, kind: str | None) -> NDArray[np.bool_]:
    pairs = [
        (c, kind) not in HELD_OUT_PAIRS and (colour, k) not in HELD_OUT_PAIRS for c, k in ALL_PAIRS
    ]
    return np.array([True, *pairs])
