"""Phrases that were encoded before need not be encoded again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Encoded = TypeVar("Encoded")

_MOST_PHRASES = 4096
"""About 10 MB of CLIP's embeddings."""


class PhraseCache(Generic[Key, Encoded]):
    """What a text encoder made of phrases, or captions. The one not asked for for longest goes first. Thread-safe."""

    def __init__(self, most: int = _MOST_PHRASES) -> None:
        """most: how many are kept."""
        self._most = most
        self._encoded: OrderedDict[Key, Encoded] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self, phrases: Sequence[Key], encode: Callable[[Sequence[Key]], Sequence[Encoded]]
    ) -> list[Encoded]:
        """One for each phrase, in order. `encode` is called once with those that are new, if any."""
        with self._lock:
            new = [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._encoded]
            if new:
                self._encoded.update(zip(new, encode(new), strict=True))
            for phrase in phrases:
                self._encoded.move_to_end(phrase)
            found = [self._encoded[phrase] for phrase in phrases]
            while len(self._encoded) > self._most:
                self._encoded.popitem(last=False)
            return found
