# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The steps of the demo: start, first vocabulary, frames, second vocabulary, frames, end."""

from __future__ import annotations

import time
from dataclasses import dataclass

from processes import DemoError, RosProcesses
from robot import Robot, VocabularyChange
from tqdm import tqdm

FIRST_VOCABULARY = ("red duck", "white mug", "blue teddy bear", "yellow cube")
SECOND_VOCABULARY = ("red duck", "white mug", "orange cylinder", "green star", "purple cone")
START_TIMEOUT_S = 90.0
CALL_TIMEOUT_S = 30.0
SILENCE_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Session:
    """The two service calls, and the stamp from which the second vocabulary was in force."""

    first: VocabularyChange
    change: VocabularyChange
    in_force_since_ns: int


def run_session(
    processes: RosProcesses, robot: Robot, node_parameters: dict[str, str], frame_count: int
) -> Session:
    """Process `frame_count` frames of the camera, half of them with either vocabulary. Raises DemoError."""
    print("Starting segmentation_node.", flush=True)
    processes.start("segmentation_node", node_parameters)
    robot.wait_until_active(START_TIMEOUT_S)
    first = robot.set_vocabulary(FIRST_VOCABULARY, CALL_TIMEOUT_S)
    print("Starting tabletop_camera.", flush=True)
    processes.start("tabletop_camera", {})
    robot.wait_for("a segmented frame", lambda: bool(robot.received.labels), START_TIMEOUT_S)
    with tqdm(total=frame_count, desc="camera frames", unit="frame") as progress:
        progress.write(f"Vocabulary: {', '.join(FIRST_VOCABULARY)}.")
        _process_frames(robot, progress, frame_count // 2)
        change = robot.set_vocabulary(SECOND_VOCABULARY, CALL_TIMEOUT_S)
        progress.write(f"Vocabulary: {', '.join(SECOND_VOCABULARY)}.")
        _process_frames(robot, progress, frame_count)
    _stop_in_order(processes)
    in_force = [v.since_ns for v in robot.received.vocabularies if v.ids == change.ids]
    if not in_force:
        raise DemoError("the second vocabulary was never published on ~/vocabulary")
    return Session(first, change, in_force[-1])


def _process_frames(robot: Robot, progress: tqdm[None], until: int) -> None:
    """Wait until the camera has published `until` frames; frames that the node drops count, too."""
    received = robot.received
    labelled, last_label_s = len(received.labels), time.monotonic()

    def done() -> bool:
        nonlocal labelled, last_label_s
        progress.update(min(len(received.truth), until) - progress.n)
        if len(received.labels) > labelled:
            labelled, last_label_s = len(received.labels), time.monotonic()
        elif time.monotonic() - last_label_s > SILENCE_TIMEOUT_S:
            raise DemoError(
                f"segmentation_node published no label image for {SILENCE_TIMEOUT_S:.0f} s"
            )
        return len(received.truth) >= until

    robot.wait_for(f"{until} frames of the camera", done, 600)


def _stop_in_order(processes: RosProcesses) -> None:
    for name, code in processes.stop().items():
        if code != 0:
            raise DemoError(f"{name} ended with exit code {code} on ctrl-C; it must be 0")
