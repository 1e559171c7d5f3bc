"""Phrases that were encoded before need not be encoded again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Encoded = TypeVar("Encoded")

_MAX_PROMPTS = 4096
"""About 10 MB of CLIP's embeddings."""


class PromptCache(Generic[Key, Encoded]):
    """What a text encoder made of phrases, or captions. The one not asked for for longest goes first. Thread-safe."""

    def __init__(self, most: int = _MAX_PROMPTS) -> None:
        """most: how many are kept."""
        self._most = most
        self._encoded: OrderedDict[Key, Encoded] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self, prompts: Sequence[Key], encode: Callable[[Sequence[Key]], Sequence[Encoded]]
    ) -> list[Encoded]:
        """One for each phrase, in order. `encode` is called once with those that are new, if any."""
        with self._lock:
            new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._encoded]
            if new:
                self._encoded.update(zip(new, encode(new), strict=True))
            for prompt in prompts:
                self._encoded.move_to_end(prompt)
            found = [self._encoded[prompt] for prompt in prompts]
            while len(self._encoded) > self._most:
                self._encoded.popitem(last=False)
            return found
