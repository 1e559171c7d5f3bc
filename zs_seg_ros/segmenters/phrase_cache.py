"""Phrases that were encoded before need not be encoded again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Encoded = TypeVar("Encoded")

_MOST_PHRASES = 4096
"""About 10 MB of CLIP's embeddings."""


class PhraseCache(Generic[Encoded]):
    """What a text encoder made of phrases; the one not asked for for longest goes first. Thread-safe."""

    def __init__(self) -> None:
        self._encoded: OrderedDict[str, Encoded] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self,
        phrases: Sequence[str],
        encode: Callable[[Sequence[str]], Sequence[Encoded]],
    ) -> list[Encoded]:
        """One for each phrase, in order. `encode` is called once with those that are new, if any."""
        with self._lock:
            new = [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._encoded]
            if new:
                self._encoded.update(zip(new, encode(new), strict=True))
            for phrase in phrases:
                self._encoded.move_to_end(phrase)
            found = [self._encoded[phrase] for phrase in phrases]
            while len(self._encoded) > _MOST_PHRASES:
                self._encoded.popitem(last=False)
            return found
