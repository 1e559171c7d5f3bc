# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Pairs images with depth images by their stamps, whichever is received first."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace

from zs_seg_ros.types import DepthImage, Frame

TOLERANCE_NS = 20_000_000
"""Registered depth has the stamp of its image or, with other drivers, one within the same exposure."""

_KEPT = 8
"""The number of depth images that are kept for images that are received late: at 30 Hz a quarter of a second."""


class DepthPairing:
    """Pairs the frames of one camera with its depth images by their stamps. Thread-safe.

    A frame whose depth has not been received waits for it, until the next frame is received or it is overdue; then it
    is forwarded without depth, and counted in `unpaired`. While no depth is received at all, frames do not wait.
    tolerance_ns: the largest difference of the stamps. expected: whether also the first frame waits for depth.
    """

    def __init__(self, tolerance_ns: int, expected: bool = False) -> None:
        self.unpaired = 0
        self._tolerance_ns = tolerance_ns
        self._depths: deque[DepthImage] = deque(maxlen=_KEPT)
        self._waiting: Frame | None = None
        self._alive = expected
        self._lock = threading.Lock()

    def add_frame(self, frame: Frame) -> list[Frame]:
        """Add a received frame. Returns the frames that are ready to be forwarded, oldest first."""
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
        """Add a received depth image. Returns the frame that waited for it, with it; none if no frame did."""
        with self._lock:
            self._alive = True
            self._depths.append(depth)
            waiting = self._waiting
            if waiting is None or self._depth_of(waiting) is None:
                return []
            self._waiting = None
            return [replace(waiting, depth=depth)]

    def overdue(self, received_before_ns: int) -> list[Frame]:
        """Return the waiting frame if it was received before that time, by the monotonic clock.

        Call it regularly: without it, the last frame of a camera that stops would never be forwarded.
        """
        with self._lock:
            if self._waiting is None or self._waiting.received_ns >= received_before_ns:
                return []
            return self._release()

    def end(self) -> list[Frame]:
        """Return the waiting frame, if there is one: no more depth will be received."""
        with self._lock:
            return self._release()

    def _release(self) -> list[Frame]:
        """Return the waiting frame without depth. The next one does not wait: depth may have ceased."""
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
