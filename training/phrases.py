"""Training phrases and which pairs each of them describes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.names import (
    ALL_PAIRS,
    COLOUR_SYNONYMS,
    COLOURS,
    KIND_SYNONYMS,
    KINDS,
    SEEN_PAIRS,
)

UNKNOWN_WORD = "?unknown?"
"""A word that the model cannot know, in the place of all words that it cannot know."""


@dataclass(frozen=True)
class PhraseBatch:
    """Phrases (K) and `matches` (K, 1 + pairs) bool: column 0 is the background, then `ALL_PAIRS`."""

    phrases: tuple[str, ...]
    matches: NDArray[np.bool_]


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


def sample_phrases(rng: np.random.Generator) -> PhraseBatch:
    """All phrases of one training step: every pair that may be seen, every kind, every colour, and nonsense."""
    phrases: list[str] = []
    rows: list[NDArray[np.bool_]] = []

    def add(phrase: str, matching: list[int]) -> None:
        row = np.zeros(1 + len(ALL_PAIRS), np.bool_)
        row[[1 + i for i in matching]] = True
        phrases.append(phrase)
        rows.append(row)

    for pair in SEEN_PAIRS:
        add(colour_and_kind(*pair, rng), [ALL_PAIRS.index(pair)])
    for kind in KINDS:
        same_kind = [i for i, pair in enumerate(ALL_PAIRS) if pair[1] == kind]
        add(_decorate([_pick(KIND_SYNONYMS[kind], rng)], rng), same_kind)
    for colour in COLOURS:
        same_colour = [i for i, pair in enumerate(ALL_PAIRS) if pair[0] == colour]
        add(_decorate([_pick(COLOUR_SYNONYMS[colour], rng), "thing"], rng), same_colour)
    add(UNKNOWN_WORD, [])
    for colour in rng.choice(COLOURS, 3, replace=False):
        add(_decorate([str(colour), UNKNOWN_WORD], rng), [])
    return PhraseBatch(tuple(phrases), np.stack(rows))
