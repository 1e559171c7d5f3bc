"""A slot for the newest frame of each camera, instead of a queue."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from zs_seg_ros.types import Frame


class FrameSlots:
    """Hold the newest frame of each camera: `put` replaces a waiting frame, `take` empties all slots at once.

    Thread-safe. There is no queue, so the delay of a result does not grow when the model is slower than the camera.
    """

    def __init__(self, cameras: Iterable[str]) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, Frame] = {}
        self._skipped = dict.fromkeys(cameras, 0)
        self._closed = False

    def add(self, camera: str) -> None:
        """Add a slot for this camera, unless it has one."""
        with self._changed:
            self._skipped.setdefault(camera, 0)

    def remove(self, camera: str) -> None:
        """Remove the slot of this camera; its waiting frame and later frames are dropped."""
        with self._changed:
            self._waiting.pop(camera, None)
            self._skipped.pop(camera, None)

    def put(self, frame: Frame) -> None:
        """Make `frame` the newest of its camera; a frame that it replaces is counted as skipped."""
        with self._changed:
            if self._closed or frame.camera not in self._skipped:
                return
            if frame.camera in self._waiting:
                self._skipped[frame.camera] += 1
            self._waiting[frame.camera] = frame
            self._changed.notify()

    def take(self, timeout_s: float | None = None) -> tuple[Frame, ...]:
        """Return all waiting frames, the first received first; empty after `timeout_s` without one, or once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, timeout_s)
            frames = tuple(sorted(self._waiting.values(), key=lambda frame: frame.received_ns))
            self._waiting.clear()
            return frames

    def skipped(self, camera: str) -> int:
        """Return how many frames of the camera were replaced before they were taken; 0 for one without a slot."""
        with self._changed:
            return self._skipped.get(camera, 0)

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
