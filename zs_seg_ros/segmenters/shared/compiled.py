"""Compiled parts of networks, of which one call runs at a time.

The worker, trials of new vocabularies and `~/segment` call a model from threads of their own. Without compilation they
need no lock: weights are only read, and their calls are put into the same stream of a GPU one by one. A compiled part
has state, which its first call for a shape changes: that call compiles, and others of that moment would compile the
same once more or, with CUDA graphs, write into each other's buffers. The lock is held while kernels are launched and
not until they have run, so that a GPU is never kept waiting.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch


class Compiled:
    """A function that torch compiles at its first call. Thread-safe."""

    def __init__(self, function: Callable[..., Any], dynamic: bool | None = None) -> None:
        """Compile `function` for each new shape, or with `dynamic` for several at once, as `torch.compile` does."""
        self._function = torch.compile(function, dynamic=dynamic)
        self._in_use = threading.Lock()

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the function after all other calls have ended."""
        with self._in_use:
            return self._function(*arguments, **named)
