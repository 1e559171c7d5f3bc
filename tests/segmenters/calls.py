"""How often a part of a network runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def calls_of(module: nn.Module) -> Iterator[list[nn.Module]]:
    """The calls of a module's forward pass while the block runs."""
    calls: list[nn.Module] = []
    hook = module.register_forward_hook(lambda called, *_: calls.append(called))
    try:
        yield calls
    finally:
        hook.remove()
