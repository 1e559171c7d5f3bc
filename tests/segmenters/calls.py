"""Counting of the runs of a part of a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def calls_of(module: nn.Module) -> Iterator[list[nn.Module]]:
    """One entry for each forward pass of a module while the block runs."""
    calls: list[nn.Module] = []
    hook = module.register_forward_hook(lambda called, *_: calls.append(called))
    try:
        yield calls
    finally:
        hook.remove()
