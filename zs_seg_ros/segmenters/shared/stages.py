# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Durations of the stages of `segment`. Outside of `stage_times`, nothing is measured and no device is waited for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import torch

Stage = Literal["prepare", "encode", "decode", "finish"]
"""Images to tensors; inference once per image; inference for its prompts or boxes; post-processing."""

_times: ContextVar[dict[str, float] | None] = ContextVar("stage times", default=None)


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """Measure the block as a stage, less the stages within it; durations of a stage that runs several times add up."""
    times = _times.get()
    if times is None:
        yield
        return
    start, others_ms = time.perf_counter(), sum(times.values())
    yield
    wait_for_gpu()
    within_ms = sum(times.values()) - others_ms
    times[name] = times.get(name, 0.0) + (time.perf_counter() - start) * 1000 - within_ms


@contextmanager
def stage_times() -> Iterator[dict[str, float]]:
    """Collect the milliseconds of each stage that runs in this thread within the block."""
    times: dict[str, float] = {}
    token = _times.set(times)
    try:
        yield times
    finally:
        _times.reset(token)


def wait_for_gpu() -> None:
    """Wait until the GPU has finished all submitted work; without a GPU, return at once."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
