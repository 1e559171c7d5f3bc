"""Warnings about the words of a vocabulary that hold for every model."""

from __future__ import annotations

import re
from itertools import combinations

from zs_seg_ros.shown import quoted, shown
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

_SEPARATORS = re.compile(r"(?<!\d),|,(?!\d)|[;|،、，；]|\s/\s")  # not the comma of 3,5 mm
_MOST_PAIRS = 50


def word_warnings(vocabulary: Vocabulary) -> list[str]:
    """Warn of classes that seem to be a list of several, and of prompts that two classes share."""
    return [*_lists_as_names(vocabulary), *_shared_prompts(vocabulary)]


def _lists_as_names(vocabulary: Vocabulary) -> list[str]:
    warnings = []
    for target in vocabulary.classes:
        parts = [part for text in _SEPARATORS.split(target.name) if (part := text.strip())]
        if len(parts) > 1 and not target.prompts and not target.exemplars:
            warnings.append(
                f"{quoted(target.name)} is one class, which the model takes for the description of one kind of object; "
                f"for several classes give a list: classes:=[{', '.join(map(shown, parts))}]"
            )
    return warnings


def _shared_prompts(vocabulary: Vocabulary) -> list[str]:
    """Compare prompts without regard to case: most text encoders read them so."""
    classes_of: dict[str, list[str]] = {}
    for target in vocabulary.classes:
        for prompt in dict.fromkeys(p.casefold() for p in target.effective_prompts):
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
