# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A limit on how long a call of a model may take, checked between its steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from zs_seg_ros.errors import MaskPromptError, VocabularyError

TooLate = Callable[[float], Exception]
"""The error of a limit of so many seconds that has passed."""

_limit: ContextVar[tuple[float, Exception] | None] = ContextVar("limit", default=None)
"""The monotonic time at which it ends, and what is raised then."""


def vocabulary_too_late(seconds: float) -> VocabularyError:
    """Return the error of a vocabulary whose preparation takes longer than `vocabulary_timeout`."""
    return VocabularyError(
        f"preparing this vocabulary takes longer than vocabulary_timeout ({seconds:g} s); give fewer classes or "
        "prompts, or raise vocabulary_timeout"
    )


def masks_too_late(seconds: float) -> MaskPromptError:
    """Return the error of points, boxes or everything that take longer than `vocabulary_timeout`."""
    return MaskPromptError(
        f"segmenting without words takes longer than vocabulary_timeout ({seconds:g} s); mark fewer objects, use a GPU "
        "or a smaller mask model, or raise vocabulary_timeout"
    )


@contextmanager
def time_limit(seconds: float, too_late: TooLate = vocabulary_too_late) -> Iterator[None]:
    """Make `check_time` raise in this thread and within the block after `seconds`; 0 means no limit."""
    token = _limit.set((time.monotonic() + seconds, too_late(seconds)) if seconds else None)
    try:
        yield
    finally:
        _limit.reset(token)


def check_time() -> None:
    """Raise the error of this thread's time limit when it has passed; without a limit do nothing.

    Called by segmenters before each step whose number grows with the vocabulary, or with the marked objects.
    """
    limit = _limit.get()
    if limit is not None and time.monotonic() > limit[0]:
        raise limit[1]
