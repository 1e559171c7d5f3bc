"""Phrases to captions, for detectors that read several phrases as one text of limited length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Prompt = TypeVar("Prompt")


def split_into_captions(
    prompts: Sequence[Prompt], fits: Callable[[Sequence[Prompt]], bool]
) -> list[list[Prompt]]:
    """The phrases, in order, in as few captions as hold them whole.

    fits: whether phrases make a caption that the model can read; every phrase alone must.
    """
    captions: list[list[Prompt]] = []
    for prompt in prompts:
        if captions and fits([*captions[-1], prompt]):
            captions[-1].append(prompt)
        else:
            captions.append([prompt])
    return captions
