"""Splitting of phrases into captions, for detectors that encode several phrases as one text of limited length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Prompt = TypeVar("Prompt")


def split_into_captions(
    prompts: Sequence[Prompt], fits: Callable[[Sequence[Prompt]], bool]
) -> list[list[Prompt]]:
    """Split phrases, in order, greedily into captions that the model accepts.

    fits: returns whether the given phrases make a caption that is not too long; each phrase alone must fit.
    """
    captions: list[list[Prompt]] = []
    for prompt in prompts:
        if captions and fits([*captions[-1], prompt]):
            captions[-1].append(prompt)
        else:
            captions.append([prompt])
    return captions
