"""On a processor: the images of a batch next to each other, each on a core of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


class PerImageThreads:
    """Threads that compute alone.

    Cores that share every step of a network wait for each other at its end, the more so when a robot's other programs
    want them, too; with an image each they never do. benchmarks/cameras.py measures what that gains.
    """

    def __init__(self, threads: int) -> None:
        self._count = threads
        self._in_use = threading.Lock()
        self._threads = ThreadPoolExecutor(threads, "per_image_threads")
        all_here = threading.Barrier(threads)

        def compute_alone() -> None:
            torch.get_num_threads()  # a thread takes the process's number when it first asks
            torch.set_num_threads(1)
            all_here.wait()

        before = torch.get_num_threads()
        wait([self._threads.submit(compute_alone) for _ in range(threads)])
        # It was said for these threads, and for all that have not asked yet: give it back to those.
        torch.set_num_threads(before)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Results of the first items, of as many as give each thread equally many.

        None of them while the threads serve, or hang in, another call. Raises what the function raises.
        """
        count = len(items) - len(items) % self._count
        if count == 0 or not self._in_use.acquire(blocking=False):
            return []
        try:
            results = [self._threads.submit(function, item) for item in items[:count]]
            wait(results)
        finally:
            self._in_use.release()
        return [result.result() for result in results]
