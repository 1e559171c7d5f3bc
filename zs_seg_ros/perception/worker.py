"""The threads that own the frames in work: newest frames → model → scenes → callback."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from zs_seg_ros.perception.frame_slots import FrameSlots
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.perception.pipeline import Pipeline, Segmented, Settings, segment
from zs_seg_ros.types import Frame, Scene

OnFailure = Callable[[Exception, tuple[Frame, ...]], None]

_MOST_LEFT_BEHIND = 3
"""Threads of models that do not return: each keeps its frames and perhaps a core for ever."""


@dataclass(frozen=True, eq=False)
class Work:
    """A batch, and since when (monotonic) it is in work."""

    frames: tuple[Frame, ...]
    since_s: float


class Worker:
    """Takes what waits in the slots, segments it as one batch and hands each scene on.

    While scenes are made of one batch, and published, the model looks at the next one: at most one waits in between.
    The model's vocabulary and `settings` may be replaced at any time, from any thread: each batch reads them
    once, when it starts, and everything about its frames is said in their terms. on_scene and on_failure are
    called in the worker's threads; an error costs the frames of its batch and nothing else.
    """

    def __init__(
        self,
        model: LiveModel,
        slots: FrameSlots,
        on_scene: Callable[[Scene], None],
        on_failure: OnFailure,
    ) -> None:
        self.settings = Settings()
        self._model = model
        self._slots = slots
        self._on_scene = on_scene
        self._on_failure = on_failure
        self._work: Work | None = None
        self._turn = threading.Lock()  # whose work counts
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        # A daemon, so that a model that hangs cannot keep the process alive.
        thread = threading.Thread(target=self._run, name="segmentation", daemon=True)
        self._threads = [*(t for t in self._threads if t.is_alive()), thread]
        thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Close the slots and wait for the batch in progress; False when it did not end in time."""
        self._slots.close()
        self._threads[-1].join(timeout_s)
        return not self._threads[-1].is_alive()

    def give_up_after(self, limit_s: float) -> Work | None:
        """Leave a batch that is in work for longer than `limit_s` to itself, and go on in a new thread.

        Whatever comes of it is dropped. Returns it; None where nothing was that long in work, or where so many threads
        are left behind already that waiting is better.
        """
        with self._turn:
            work = self._work
            if work is None or time.monotonic() - work.since_s <= limit_s:
                return None
            if sum(thread.is_alive() for thread in self._threads) > _MOST_LEFT_BEHIND:
                return None
            self._work = None
            self.start()
            return work

    def _run(self) -> None:
        """As long as nobody has given this thread up."""
        pipeline = Pipeline()
        before: Future[None] | None = None
        with ThreadPoolExecutor(1, "scenes") as scenes:
            while not self._slots.closed:
                frames, settings = self._slots.take(), self.settings
                segmenter, encoded = self._model.segmenter, self._model.encoded
                if not frames or segmenter is None or encoded is None:
                    continue
                work = self._work = Work(frames, time.monotonic())
                outcome: Segmented | Exception
                try:
                    outcome = segment(frames, segmenter, encoded, settings.default_threshold)
                except Exception as error:  # a model may raise anything; the next frame is tried
                    outcome = segmenter.recover(error)
                with self._turn:
                    if self._work is not work:
                        return
                    self._work = None
                if before is not None:
                    before.result()
                before = scenes.submit(self._forward, pipeline, frames, outcome, settings)

    def _forward(
        self,
        pipeline: Pipeline,
        frames: tuple[Frame, ...],
        outcome: Segmented | Exception,
        settings: Settings,
    ) -> None:
        try:
            if isinstance(outcome, Exception):
                raise outcome
            for scene in pipeline.scenes(outcome, settings):
                self._on_scene(scene)
        except Exception as error:
            self._on_failure(error, frames)
