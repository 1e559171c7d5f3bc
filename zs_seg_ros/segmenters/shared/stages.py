"""How long the stages of `segment` take. Unless somebody asks, nothing is measured and no device waited for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import torch

Stage = Literal["prepare", "encode", "decode", "finish"]
"""Images to tensors; what is done once an image; what is done for its phrases or boxes; logits to a segmentation."""

_times: ContextVar[dict[str, float] | None] = ContextVar("stage times", default=None)


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """Mark a stage; one that comes several times adds up."""
    times = _times.get()
    if times is None:
        yield
        return
    start = time.perf_counter()
    yield
    wait_for_gpu()
    times[name] = times.get(name, 0.0) + (time.perf_counter() - start) * 1000


@contextmanager
def stage_times() -> Iterator[dict[str, float]]:
    """Milliseconds of each stage that runs in this thread while the block does."""
    times: dict[str, float] = {}
    token = _times.set(times)
    try:
        yield times
    finally:
        _times.reset(token)


def wait_for_gpu() -> None:
    """Until all that was asked of it is done, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
