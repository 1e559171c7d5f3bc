"""The newest frame of each camera, and nothing older."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from zs_seg_ros.types import Frame


class FrameSlots:
    """One slot a camera: `put` replaces what waits there, `take` empties all slots at once.

    Thread-safe. Nothing queues, so a result is never older than the model is slow.
    """

    def __init__(self, cameras: Iterable[str]) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, Frame] = {}
        self._skipped = dict.fromkeys(cameras, 0)
        self._closed = False

    def add(self, camera: str) -> None:
        """Take frames of this camera, too."""
        with self._changed:
            self._skipped.setdefault(camera, 0)

    def remove(self, camera: str) -> None:
        """Let go what waits of this camera, and whatever still comes."""
        with self._changed:
            self._waiting.pop(camera, None)
            self._skipped.pop(camera, None)

    def put(self, frame: Frame) -> None:
        """Make `frame` the newest of its camera; one that still waited is counted as skipped."""
        with self._changed:
            if self._closed or frame.camera not in self._skipped:
                return
            if frame.camera in self._waiting:
                self._skipped[frame.camera] += 1
            self._waiting[frame.camera] = frame
            self._changed.notify()

    def take(self, timeout_s: float | None = None) -> tuple[Frame, ...]:
        """All waiting frames, oldest arrival first; empty after `timeout_s` without one or once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, timeout_s)
            frames = tuple(sorted(self._waiting.values(), key=lambda frame: frame.received_ns))
            self._waiting.clear()
            return frames

    def skipped(self, camera: str) -> int:
        """How many frames of the camera were replaced before they were looked at."""
        with self._changed:
            return self._skipped[camera]

    @property
    def closed(self) -> bool:
        with self._changed:
            return self._closed

    def close(self) -> None:
        """Drop what waits and wake up whoever waits for it, for good."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
