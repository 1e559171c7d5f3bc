"""A limit on how long a new vocabulary may take, checked between the steps of encoding and of its trial."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from zs_seg_ros.errors import VocabularyError

_limit: ContextVar[tuple[float, float] | None] = ContextVar("limit", default=None)
"""The monotonic time at which it ends, and the seconds that were given."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Make `check_time` raise in this thread and within the block after `seconds`; 0 means no limit."""
    token = _limit.set((time.monotonic() + seconds, seconds) if seconds else None)
    try:
        yield
    finally:
        _limit.reset(token)


def check_time() -> None:
    """Raise VocabularyError when the time limit of this thread has passed; without a limit do nothing.

    Called by segmenters before each step whose number grows with the vocabulary.
    """
    limit = _limit.get()
    if limit is not None and time.monotonic() > limit[0]:
        raise VocabularyError(
            f"preparing this vocabulary takes longer than vocabulary_timeout ({limit[1]:g} s); give fewer classes or "
            "prompts, or raise vocabulary_timeout"
        )
