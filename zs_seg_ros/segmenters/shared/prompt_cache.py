"""A cache of text embeddings, so that no prompt is encoded twice."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Encoded = TypeVar("Encoded")

_MAX_PROMPTS = 4096
"""Default size: about 10 MB of CLIP's text embeddings."""


class PromptCache(Generic[Key, Encoded]):
    """Keeps what a text encoder returned for prompts, or captions; evicts the least recently used. Thread-safe."""

    def __init__(self, capacity: int = _MAX_PROMPTS) -> None:
        """capacity: how many prompts are kept."""
        self._capacity = capacity
        self._encoded: OrderedDict[Key, Encoded] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self, prompts: Sequence[Key], encode: Callable[[Sequence[Key]], Sequence[Encoded]]
    ) -> list[Encoded]:
        """Return one result for each prompt, in order; call `encode` once with those that are new, if any."""
        with self._lock:
            new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._encoded]
            if new:
                self._encoded.update(zip(new, encode(new), strict=True))
            for prompt in prompts:
                self._encoded.move_to_end(prompt)
            results = [self._encoded[prompt] for prompt in prompts]
            while len(self._encoded) > self._capacity:
                self._encoded.popitem(last=False)
            return results
