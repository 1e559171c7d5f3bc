# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A slot for the newest frame of each camera, instead of a queue; which frames the model gets next, and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Protocol

from zs_seg_ros.types import Frame


class FrameSink(Protocol):
    """Where cameras put their frames."""

    def add(self, camera: str) -> None:
        """Accept frames of this camera from now on."""

    def remove(self, camera: str) -> None:
        """Drop the frames of this camera, and later ones."""

    def put(self, frame: Frame) -> None:
        """Accept a frame."""


class FrameSlots:
    """Hold the newest frame of each camera: `put` replaces a waiting frame, `take` returns those of the next batch.

    Thread-safe. There is no queue, so the delay of a result does not grow when the model is slower than the camera.
    Cameras of the highest priority among those that wait are taken together. A camera whose priority is lower by n is
    passed over at most n times in a row; so all are taken where the priorities are equal, and none starves.
    """

    def __init__(self, cameras: Iterable[str]) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, Frame] = {}
        self._skipped = dict.fromkeys(cameras, 0)
        self._paced = dict.fromkeys(self._skipped, 0)
        self._priorities: dict[str, int] = {}
        self._passed_over: dict[str, int] = {}
        self._min_period_s = 0.0
        self._last_taken_s = float("-inf")
        self._closed = False

    def add(self, camera: str) -> None:
        """Add a slot for this camera, unless it has one."""
        with self._changed:
            self._skipped.setdefault(camera, 0)
            self._paced.setdefault(camera, 0)

    def remove(self, camera: str) -> None:
        """Remove the slot of this camera; its waiting frame and later frames are dropped."""
        with self._changed:
            for by_camera in (self._waiting, self._skipped, self._paced, self._passed_over):
                by_camera.pop(camera, None)

    def clear(self) -> None:
        """Drop all waiting frames."""
        with self._changed:
            self._waiting.clear()
            self._passed_over.clear()

    def set_min_period(self, seconds: float) -> None:
        """Let at least so much time pass from one `take` that returns frames to the next; 0: none."""
        with self._changed:
            self._min_period_s = seconds
            self._changed.notify_all()

    def set_priorities(self, priorities: dict[str, int]) -> None:
        """Set the priority of each camera; 0 for those that are left out."""
        with self._changed:
            self._priorities = dict(priorities)

    def put(self, frame: Frame, *, counted: bool = True) -> None:
        """Make `frame` the newest of its camera. counted: whether a frame that it replaces is counted."""
        with self._changed:
            if self._closed or frame.camera not in self._skipped:
                return
            if counted and frame.camera in self._waiting:
                counts = self._paced if self._pause_left_s() > 0 else self._skipped
                counts[frame.camera] += 1
            self._waiting[frame.camera] = frame
            self._changed.notify()

    def take(self, timeout_s: float | None = None) -> tuple[Frame, ...]:
        """Return the waiting frames of the next batch, the first received first.

        Returns no frames after `timeout_s` seconds without one, or once closed.
        """
        end_s = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not self._closed:
                pause_s = self._pause_left_s() if self._waiting else float("inf")
                if pause_s <= 0:
                    return self._next_batch()
                left_s = min(pause_s, end_s - time.monotonic())
                if left_s <= 0:
                    break
                self._changed.wait(None if left_s == float("inf") else left_s)
            return ()

    def _pause_left_s(self) -> float:
        return self._last_taken_s + self._min_period_s - time.monotonic()

    def _next_batch(self) -> tuple[Frame, ...]:
        highest = max(self._priorities.get(camera, 0) for camera in self._waiting)
        taken = []
        for camera, frame in tuple(self._waiting.items()):
            passed_over = self._passed_over.get(camera, 0)
            if highest - self._priorities.get(camera, 0) <= passed_over:
                taken.append(frame)
                del self._waiting[camera]
                self._passed_over.pop(camera, None)
            else:
                self._passed_over[camera] = passed_over + 1
        self._last_taken_s = time.monotonic()
        return tuple(sorted(taken, key=lambda frame: frame.received_ns))

    def skipped(self, camera: str) -> int:
        """Return how many frames of the camera were replaced because the model was busy; 0 for one without a slot."""
        with self._changed:
            return self._skipped.get(camera, 0)

    def paced(self, camera: str) -> int:
        """Return how many frames of the camera were replaced within the least period; 0 for one without a slot."""
        with self._changed:
            return self._paced.get(camera, 0)

    @property
    def closed(self) -> bool:
        """Return whether `close` was called."""
        with self._changed:
            return self._closed

    def close(self) -> None:
        """Drop all waiting frames and end every `take`, now and later."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
