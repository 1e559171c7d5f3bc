# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Threads of one core each: on a CPU, the images of a batch, or the prompts of an image, run in parallel on them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


class OneCoreThreads:
    """Threads that each compute with one core.

    Cores that share every operation of a network wait for each other at its end, the more so when a robot's other
    programs use them, too; with an image, or a prompt, each they wait once. benchmarks/cameras.py measures the gain.
    """

    def __init__(self, threads: int) -> None:
        """Start `threads` threads: the number of items that are computed at a time."""
        self._count = threads
        self._in_use = threading.Lock()
        self._threads = ThreadPoolExecutor(threads, "one_core_threads")
        all_threads_started = threading.Barrier(threads)

        def use_one_core() -> None:
            torch.get_num_threads()  # a thread adopts the process's number at its first call
            torch.set_num_threads(1)
            all_threads_started.wait()

        previous = torch.get_num_threads()
        wait([self._threads.submit(use_one_core) for _ in range(threads)])
        # set_num_threads also changed the number that later threads adopt: restore it for those.
        torch.set_num_threads(previous)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Apply `function` to the first items, to the largest number that divides equally among the threads.

        Returns their results, in order; an empty list while another call uses the threads, or hangs in them. Raises
        what the function raises.
        """
        count = len(items) - len(items) % self._count
        if count == 0 or not self._in_use.acquire(blocking=False):
            return []
        try:
            # Each thread shares the uploads and encodings of this one.
            results = [
                self._threads.submit(copy_context().run, function, item) for item in items[:count]
            ]
            wait(results)
        finally:
            self._in_use.release()
        return [result.result() for result in results]
