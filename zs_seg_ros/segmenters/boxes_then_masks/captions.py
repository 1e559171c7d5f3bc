"""Phrases to captions, for detectors that read several phrases as one text of limited length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Phrase = TypeVar("Phrase")


def split_into_captions(
    phrases: Sequence[Phrase], fits: Callable[[Sequence[Phrase]], bool]
) -> list[list[Phrase]]:
    """The phrases, in order, in as few captions as hold them whole.

    fits: whether phrases make a caption that the model can read; every phrase alone must.
    """
    captions: list[list[Phrase]] = []
    for phrase in phrases:
        if captions and fits([*captions[-1], phrase]):
            captions[-1].append(phrase)
        else:
            captions.append([phrase])
    return captions
