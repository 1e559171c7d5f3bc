# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The threads of inference and post-processing: newest frames → model → scenes → callback."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from zs_seg_ros.perception.carrier import CarrierTasks, PoseOf, no_pose
from zs_seg_ros.perception.frame_slots import FrameSlots
from zs_seg_ros.perception.intake import Intake
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.perception.pipeline import (
    Pipeline,
    PlacementOf,
    SegmentedBatch,
    Settings,
    in_camera_frame,
    segment,
)
from zs_seg_ros.types import Frame, Scene

OnFailure = Callable[[Exception, tuple[Frame, ...]], None]

_MOST_ABANDONED = 3
"""The number of abandoned threads whose model does not return: each holds its frames, and perhaps a core, for ever."""


@dataclass(frozen=True, eq=False)
class BatchInProgress:
    """The batch that inference runs on. since_s: when inference began, by the monotonic clock."""

    frames: tuple[Frame, ...]
    since_s: float


class Worker:
    """Run inference on all waiting frames as one batch, post-process them and deliver the scenes to `on_scene`.

    intake: where cameras put their frames. While `settings` ask for propagation, it delivers a scene for every frame,
    with the newest result carried to it; otherwise there is one for each frame that inference ran on.
    pose_of: the pose of a frame's camera, for propagation. placement_of: the frame for positions, as in `Pipeline`.
    Post-processing of one batch runs in parallel with inference on the next; at most one batch waits between them.
    The model's vocabulary and `settings` may be replaced at any time, from any thread: each batch reads them once,
    when it starts, and all its results belong to them. on_scene and on_failure are called in the worker's threads; an
    error drops the frames of its batch, and the next batch is processed.
    """

    def __init__(
        self,
        model: LiveModel,
        slots: FrameSlots,
        on_scene: Callable[[Scene], None],
        on_failure: OnFailure,
        pose_of: PoseOf = no_pose,
        placement_of: PlacementOf = in_camera_frame,
    ) -> None:
        self.settings = Settings()
        self._model = model
        self._slots = slots
        self._on_scene = on_scene
        self._on_failure = on_failure
        self._pipeline = Pipeline(placement_of, model.kept)
        self.intake = Intake(
            slots,
            CarrierTasks(
                settings=lambda: self.settings,
                pose_of=pose_of,
                infer=partial(slots.put, counted=False),
                deliver=lambda scene, settings: on_scene(self._pipeline.completed(scene, settings)),
                failed=on_failure,
            ),
        )
        self._work: BatchInProgress | None = None
        self._turn = (
            threading.Lock()
        )  # guards _work: the results of a thread count while its batch is in it
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the thread of inference."""
        # A daemon, so that a model that hangs cannot keep the process alive.
        thread = threading.Thread(target=self._run, name="segmentation", daemon=True)
        self._threads = [*(t for t in self._threads if t.is_alive()), thread]
        thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Close the slots and wait for the batch in progress. Returns False when it did not end in time."""
        self._slots.close()
        self.intake.close()
        self._threads[-1].join(timeout_s)
        return not self._threads[-1].is_alive()

    def give_up_after(self, limit_s: float) -> BatchInProgress | None:
        """Abandon a batch whose inference takes longer than `limit_s`, and continue in a new thread.

        Its results are dropped when the model returns. Returns the batch; None when no inference takes that long, or
        when three abandoned threads still run: then the worker waits for the model.
        """
        with self._turn:
            work = self._work
            if work is None or time.monotonic() - work.since_s <= limit_s:
                return None
            if sum(thread.is_alive() for thread in self._threads) > _MOST_ABANDONED:
                return None
            self._work = None
            self.intake.lose(work.frames)
            self.start()
            return work

    def _run(self) -> None:
        """Process batches until the slots are closed or the batch of this thread is abandoned."""
        before: Future[None] | None = None
        with ThreadPoolExecutor(1, "scenes") as scenes:
            while not self._slots.closed:
                frames, settings = self._slots.take(), self.settings
                segmenter, encoded = self._model.segmenter, self._model.encoded
                if not frames or segmenter is None or encoded is None:
                    continue
                work = self._work = BatchInProgress(frames, time.monotonic())
                outcome: SegmentedBatch | Exception
                try:
                    outcome = segment(
                        frames, segmenter, encoded, settings, self._model.kept, self._model.between
                    )
                # A model may raise anything; the next batch is processed.
                except Exception as error:
                    outcome = segmenter.recover(error)
                with self._turn:
                    if self._work is not work:
                        return
                    self._work = None
                if before is not None:
                    before.result()
                before = scenes.submit(self._forward, frames, outcome, settings)

    def _forward(
        self,
        frames: tuple[Frame, ...],
        outcome: SegmentedBatch | Exception,
        settings: Settings,
    ) -> None:
        try:
            if isinstance(outcome, Exception):
                raise outcome
            if settings.propagation != "off":
                self.intake.take_over(outcome)
                return
            for scene in self._pipeline.scenes(outcome, settings):
                self._on_scene(scene)
        except Exception as error:
            self.intake.lose(frames)
            self._on_failure(error, frames)
