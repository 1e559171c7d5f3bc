"""The thread that owns the model: newest frames → pipeline → callback."""

from __future__ import annotations

import threading
from collections.abc import Callable

from zs_seg_ros.frame_slot import FrameSlots
from zs_seg_ros.live_model import LiveModel
from zs_seg_ros.pipeline import Pipeline, Settings
from zs_seg_ros.types import Scene


class Worker:
    """Takes what waits in the slots, segments it as one batch and hands each scene on.

    The model's vocabulary and `settings` may be replaced at any time, from any thread: each batch reads them
    once, when it starts, and everything about its frames is said in their terms. on_scene and on_error are
    called in the worker's thread; an error costs the frames of its batch and nothing else.
    """

    def __init__(
        self,
        model: LiveModel,
        slots: FrameSlots,
        on_scene: Callable[[Scene], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self.settings = Settings()
        self._model = model
        self._slots = slots
        self._on_scene = on_scene
        self._on_error = on_error
        self._pipeline = Pipeline()
        # A daemon, so that a model that hangs cannot keep the process alive.
        self._thread = threading.Thread(target=self._run, name="segmentation", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 2.5) -> bool:
        """Close the slots and wait for the batch in progress; False when it did not end in time."""
        self._slots.close()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._slots.closed:
            frames = self._slots.take()
            segmenter, encoded, settings = self._model.segmenter, self._model.encoded, self.settings
            if not frames or segmenter is None or encoded is None:
                continue
            try:
                for scene in self._pipeline.understand(frames, segmenter, encoded, settings):
                    self._on_scene(scene)
            except Exception as error:  # a model may raise anything; the next frame is tried
                self._on_error(segmenter.recover(error))
