# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Where cameras put their frames: into the model's slots or, while propagation is on, through the camera's carrier."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from zs_seg_ros.perception.carrier import Carrier, CarrierTasks, InferredFrame
from zs_seg_ros.perception.frame_slots import FrameSlots
from zs_seg_ros.perception.pipeline import SegmentedBatch
from zs_seg_ros.types import Frame

_PATIENCE_S = 0.5
"""How long `close` waits for results that are being published."""


class Intake:
    """Route the frames of all cameras. Thread-safe.

    With propagation off, a frame goes into its slot, and is answered when the model has inferred it. Otherwise the
    carrier of its camera answers it, and offers it to the model.
    """

    def __init__(self, slots: FrameSlots, tasks: CarrierTasks) -> None:
        self._slots = slots
        self._tasks = tasks
        self._carriers: dict[str, Carrier] = {}
        self._skipped: dict[str, int] = {}  # by carriers that are closed
        self._cameras: set[str] = set()
        self._lock = threading.Lock()

    def add(self, camera: str) -> None:
        """Accept frames of this camera."""
        with self._lock:
            self._cameras.add(camera)
        self._slots.add(camera)

    def remove(self, camera: str) -> None:
        """Drop the frames of this camera, its results and its counts."""
        with self._lock:
            self._cameras.discard(camera)
            self._end(camera)
            self._skipped.pop(camera, None)
        self._slots.remove(camera)

    def put(self, frame: Frame) -> None:
        """Accept the next frame of a camera."""
        if self._tasks.settings().propagation == "off":
            self._slots.put(frame)
        elif carrier := self._carrier(frame.camera):
            carrier.put(frame)

    def _carrier(self, camera: str) -> Carrier | None:
        with self._lock:
            if camera not in self._cameras:
                return None
            if camera not in self._carriers:
                self._carriers[camera] = Carrier(camera, self._tasks)
            return self._carriers[camera]

    def take_over(self, segmented: SegmentedBatch) -> None:
        """Deliver the model's results for frames that carriers have offered."""
        for frame, segmentation in zip(segmented.frames, segmented.segmentations, strict=True):
            with self._lock:
                carrier = self._carriers.get(frame.camera)
            if carrier is not None:
                carrier.take_over(
                    InferredFrame(frame, segmentation, segmented.vocabulary, segmented.segment_ms)
                )

    def lose(self, frames: Sequence[Frame]) -> None:
        """Let carriers not wait for the results of frames on which the model has failed."""
        with self._lock:
            for frame in frames:
                if frame.camera in self._carriers:
                    self._carriers[frame.camera].lose()

    def reset(self) -> None:
        """Forget all results that are carried and drop the frames that wait for the model."""
        with self._lock:
            for camera in tuple(self._carriers):
                self._end(camera)
        self._slots.clear()

    def _end(self, camera: str) -> None:
        carrier = self._carriers.pop(camera, None)
        if carrier is not None:
            carrier.close()
            self._skipped[camera] = self._skipped.get(camera, 0) + carrier.skipped

    def close(self) -> None:
        """End all carriers, and wait for results that are being published."""
        with self._lock:
            carriers, self._carriers = tuple(self._carriers.values()), {}
            self._cameras.clear()
        for carrier in carriers:
            carrier.close(_PATIENCE_S)

    def skipped(self, camera: str) -> int:
        """Return how many frames of the camera have got no result because a newer one replaced them."""
        with self._lock:
            carrier = self._carriers.get(camera)
            carried = self._skipped.get(camera, 0) + (carrier.skipped if carrier else 0)
        return carried + self._slots.skipped(camera)

    def paced(self, camera: str) -> int:
        """Return how many frames of the camera have got no result because of the least period of inference."""
        return self._slots.paced(camera)
