# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A cache of text embeddings, so that no prompt is encoded twice."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from zs_seg_ros.segmenters.deadline import check_time

Key = TypeVar("Key", bound=Hashable)
Encoded = TypeVar("Encoded")

_PROMPTS_PER_STEP = 64
"""So many are encoded before the time limit of a new vocabulary is checked."""
_MAX_PROMPTS = 4096
"""Default size: about 10 MB of CLIP's text embeddings."""


class PromptCache(Generic[Key, Encoded]):
    """Keeps what a text encoder returned for prompts, or captions; evicts the least recently used. Thread-safe."""

    def __init__(self, capacity: int = _MAX_PROMPTS) -> None:
        """Create an empty cache that keeps `capacity` prompts."""
        self._capacity = capacity
        self._encoded: OrderedDict[Key, Encoded] = OrderedDict()
        self._lock = threading.Lock()

    def get(
        self, prompts: Sequence[Key], encode: Callable[[Sequence[Key]], Sequence[Encoded]]
    ) -> list[Encoded]:
        """Return one result for each prompt, in order; call `encode` with those that are new, 64 at a time.

        Raises VocabularyError when the time limit for a vocabulary passes; what was encoded by then is kept.
        """
        with self._lock:
            new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._encoded]
            for start in range(0, len(new), _PROMPTS_PER_STEP):
                check_time()
                step = new[start : start + _PROMPTS_PER_STEP]
                self._encoded.update(zip(step, encode(step), strict=True))
            for prompt in prompts:
                self._encoded.move_to_end(prompt)
            results = [self._encoded[prompt] for prompt in prompts]
            while len(self._encoded) > self._capacity:
                self._encoded.popitem(last=False)
            return results
