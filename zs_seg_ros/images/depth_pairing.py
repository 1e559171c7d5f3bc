"""Finds the depth image that belongs to an image, whichever of the two comes first."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace

from zs_seg_ros.types import DepthImage, Frame

TOLERANCE_NS = 20_000_000
"""Registered depth carries its image's stamp or, from other drivers, one of the same exposure."""

_KEPT = 8
"""Depth images, in case an image comes late: at 30 Hz a quarter of a second."""


class DepthPairing:
    """Pairs the frames of one camera with its depth images by their stamps. Thread-safe.

    A frame whose depth has not come yet waits until it comes, the next frame does, or it is overdue; then it goes on
    without depth, and is counted in `unpaired`. While no depth comes at all, frames do not wait; `expected` says that
    the first one is known to come.
    """

    def __init__(self, tolerance_ns: int, expected: bool = False) -> None:
        self.unpaired = 0
        self._tolerance_ns = tolerance_ns
        self._depths: deque[DepthImage] = deque(maxlen=_KEPT)
        self._waiting: Frame | None = None
        self._alive = expected
        self._lock = threading.Lock()

    def add_frame(self, frame: Frame) -> list[Frame]:
        """The frames that can go on now, oldest first."""
        with self._lock:
            ready = self._release()
            depth = self._depth_of(frame)
            if depth is not None:
                return [*ready, replace(frame, depth=depth)]
            if not self._alive:
                self.unpaired += 1
                return [*ready, frame]
            self._waiting = frame
            return ready

    def add_depth(self, depth: DepthImage) -> list[Frame]:
        """The frame that waited for it, if one did."""
        with self._lock:
            self._alive = True
            self._depths.append(depth)
            waiting = self._waiting
            if waiting is None or self._depth_of(waiting) is None:
                return []
            self._waiting = None
            return [replace(waiting, depth=depth)]

    def overdue(self, received_before_ns: int) -> list[Frame]:
        """The frame that waits, if it came in before that time: no other image may come that would release it."""
        with self._lock:
            if self._waiting is None or self._waiting.received_ns >= received_before_ns:
                return []
            return self._release()

    def end(self) -> list[Frame]:
        """No more depth will come: the frame that waits, if one does."""
        with self._lock:
            return self._release()

    def _release(self) -> list[Frame]:
        """What waits, without its depth. No depth since the frame before: do not wait for the next."""
        if self._waiting is None:
            return []
        frame, self._waiting = self._waiting, None
        self.unpaired += 1
        self._alive = False
        return [frame]

    def _depth_of(self, frame: Frame) -> DepthImage | None:
        newest_first = reversed(self._depths)  # of several with one stamp, the newest
        nearest = min(
            newest_first, key=lambda depth: abs(depth.stamp_ns - frame.stamp_ns), default=None
        )
        if nearest is None or abs(nearest.stamp_ns - frame.stamp_ns) > self._tolerance_ns:
            return None
        return nearest
