# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Results for every frame of one camera, from a model that is slower than the camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.perception.propagation import Mode, Propagator
from zs_seg_ros.types import Frame, Pose, Scene, Segmentation
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

_LONGEST_WAIT_S = 60.0
"""How long a frame waits for the model where results must not depend on its speed."""

PoseOf = Callable[[Frame], Pose | None]


def no_pose(_frame: Frame) -> None:
    """Return no pose: where there are no transforms."""
    return


@dataclass(frozen=True, eq=False)
class InferredFrame:
    """The model's result for one frame. segment_ms: the duration of inference for its whole batch."""

    frame: Frame
    segmentation: Segmentation
    vocabulary: Vocabulary
    segment_ms: float


@dataclass(frozen=True, eq=False)
class CarrierTasks:
    """What a carrier calls, in its own thread.

    settings: the settings in force. pose_of: the camera's pose at a frame's stamp; called in the mode auto for frames
    with depth. infer: offers a frame to the model. deliver: post-processes and publishes a scene. failed: receives
    what the others raise.
    """

    settings: Callable[[], Settings]
    pose_of: PoseOf
    infer: Callable[[Frame], None]
    deliver: Callable[[Scene, Settings], None]
    failed: Callable[[Exception, tuple[Frame, ...]], None]


class Carrier:
    """Carry the newest result of the model to every frame of one camera, in a thread of its own.

    A frame is answered at once with the newest result, and offered to the model; when the model has inferred an
    earlier frame, its result is carried on from the next frame on. Each frame is answered at most once, in order; one
    that comes before the first result, or after a change of scene, is answered as soon as there is a result that can
    be carried to it. Everything in an answer belongs to the vocabulary that the model had for its result: after a
    change of the vocabulary the old one's results are carried until the first result with the new one.

    With `inference_every` results do not depend on the speed of the model: it gets every n-th frame, and its result is
    waited for, and carried from the next n-th frame on; where nothing can be carried, the frame's own is waited for.
    """

    def __init__(self, camera: str, tasks: CarrierTasks) -> None:
        self.skipped = 0
        self._tasks = tasks
        self._propagator = Propagator()
        self._unanswered: Frame | None = None
        self._results: list[InferredFrame] = []
        self._since_offered = 0  # frames, and whether a result is to come: for inference_every
        self._result_is_due = False
        self._changed = threading.Condition()
        self._waiting: Frame | None = None
        self._new_result: InferredFrame | None = None
        self._lost = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"carry {camera}", daemon=True)
        self._thread.start()

    def put(self, frame: Frame) -> None:
        """Make `frame` the newest of the camera; a waiting one that it replaces is counted as skipped."""
        with self._changed:
            self.skipped += self._waiting is not None
            self._waiting = frame
            self._changed.notify()

    def take_over(self, result: InferredFrame) -> None:
        """Carry this result from the next frame on."""
        with self._changed:
            self._new_result = result
            self._changed.notify()

    def lose(self) -> None:
        """Wait no longer for the result of the frame that was offered last: the model has failed on it."""
        with self._changed:
            self._lost = True
            self._changed.notify()

    def close(self, timeout_s: float = 0.0) -> None:
        """End the thread; wait at most `timeout_s` seconds for the frame in progress."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if timeout_s and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._waiting or self._result_counts() or self._closed
                )
                if self._closed:
                    return
                frame, self._waiting = self._waiting, None
                result = None
                if self._result_counts():
                    result, self._new_result = self._new_result, None
            try:
                self._process(frame, result)
            # A model or a driver may deliver anything; the next frame is processed.
            except Exception as error:
                self._propagator.reset()
                self._tasks.failed(error, () if frame is None else (frame,))

    def _result_counts(self) -> bool:
        """Return whether there is a result that is taken over as soon as it is there."""
        return self._new_result is not None and not self._tasks.settings().inference_every

    def _process(self, frame: Frame | None, result: InferredFrame | None) -> None:
        settings = self._tasks.settings()
        if settings.propagation == "off":
            return
        mode: Mode = "auto" if settings.propagation == "auto" else "flow"
        start_s = time.perf_counter()
        if frame is not None:
            frame = self._with_pose(frame, mode)
            self.skipped += self._unanswered is not None
            self._unanswered = frame
            self._propagator.observe(frame)
            # Only observed frames are inferred, so that the motion since then is known.
            if settings.inference_every:
                self._infer_every(settings.inference_every, frame, mode)
            else:
                self._tasks.infer(frame)
        motion_ms = (time.perf_counter() - start_s) * 1000
        if result is not None:
            self._update(result, mode)
        self._answer(mode, settings, motion_ms)

    def _infer_every(self, every: int, frame: Frame, mode: Mode) -> None:
        """Offer the frame to the model if it is its turn, or if nothing can be carried to it."""
        self._since_offered += 1
        if self._since_offered < every and self._propagator.carried(mode) is not None:
            return
        self._await_result(mode)
        self._since_offered, self._result_is_due, self._lost = 0, True, False
        self._tasks.infer(frame)
        if self._propagator.carried(mode) is None:
            self._await_result(mode)

    def _await_result(self, mode: Mode) -> None:
        """Take over the result of the frame that was offered last, as soon as it is there."""
        if not self._result_is_due:
            return
        self._result_is_due = False
        with self._changed:
            self._changed.wait_for(
                lambda: self._new_result or self._lost or self._closed, _LONGEST_WAIT_S
            )
            result, self._new_result = self._new_result, None
        if result is not None:
            self._update(result, mode)

    def _with_pose(self, frame: Frame, mode: Mode) -> Frame:
        if mode == "flow" or frame.depth is None or frame.pose is not None:
            return frame
        return replace(frame, pose=self._tasks.pose_of(frame))

    def _update(self, result: InferredFrame, mode: Mode) -> None:
        # A transform that was late for the frame itself may have been received meanwhile.
        self._propagator.update(self._with_pose(result.frame, mode), result.segmentation)
        self._results = [*self._results[-1:], result]

    def _answer(self, mode: Mode, settings: Settings, motion_ms: float) -> None:
        start_s, frame = time.perf_counter(), self._unanswered
        carried = None if frame is None else self._propagator.carried(mode)
        if frame is None or carried is None:
            return
        # The propagator may have kept the result before: one for a frame that it has forgotten is not taken over.
        for result in reversed(self._results):
            if result.frame.stamp_ns == carried.inferred_stamp_ns:
                break
        else:
            return
        self._unanswered = None
        carry_ms = (time.perf_counter() - start_s) * 1000
        stage_ms = {"segment": result.segment_ms, "motion": motion_ms, "carry": carry_ms}
        own = carried.inferred_stamp_ns == frame.stamp_ns
        scene = Scene(
            frame,
            carried.segmentation,
            result.vocabulary,
            stage_ms=stage_ms,
            propagated_from_ns=None if own else carried.inferred_stamp_ns,
        )
        self._tasks.deliver(scene, settings)
