# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The newest frame wins: nothing queues, services answer while the model works, cameras share a batch."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from planner import TIMEOUT_S, image_message, running_node, stripes, values

from zs_seg_ros.segmenters.fake import FakeSegmenter
from zs_seg_ros.types import Batch

IMAGE = stripes("red", "blue")


class HeldSegmenter(FakeSegmenter):
    """Works on a batch for as long as the test wants it to."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.working = threading.Event()
        self.batch_sizes: list[int] = []

    def segment(self, batch: Batch, encoded: Any) -> Any:
        if batch.images[0].shape == IMAGE.shape:  # otherwise it is the node's own first image
            self.batch_sizes.append(len(batch.images))
            self.working.set()
            assert self.go_on.wait(TIMEOUT_S)
        return super().segment(batch, encoded)


def use(monkeypatch: pytest.MonkeyPatch, segmenter: FakeSegmenter) -> None:
    """Have the model `fake` load this segmenter."""
    monkeypatch.setattr("zs_seg_ros.segmenters.fake.FakeSegmenter", lambda: segmenter)


def counts(status: DiagnosticStatus) -> tuple[int, int, int]:
    """Frames in, out and skipped."""
    found = values(status)
    return int(found["frames in"]), int(found["frames out"]), int(found["frames skipped"])


def test_a_slow_model_skips_to_the_last_frame_and_counts_what_it_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(monkeypatch, FakeSegmenter(delay_s=0.3))
    with running_node({"classes": ["red"]}) as planner:
        labels = planner.outputs()
        frames = [image_message(IMAGE) for _ in range(30)]
        for frame in frames:
            planner.send(frame)
            time.sleep(0.01)
        planner.output_with_stamp_of(frames[-1], labels)

        assert len(labels) < 15
        stamps = [(m.header.stamp.sec, m.header.stamp.nanosec) for m in labels]
        assert stamps == sorted(stamps)
        settled = planner.diagnosis("camera", lambda s: counts(s)[1] == len(labels), "all results")
        count_received, record_published, skipped = counts(settled)
        assert count_received == record_published + skipped
        assert len(labels) < count_received <= 30


def test_services_answer_while_the_model_works_on_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    model = HeldSegmenter()
    use(monkeypatch, model)
    with running_node({"classes": ["red"]}) as planner:
        labels = planner.outputs()
        frame = image_message(IMAGE)
        planner.send(frame)
        assert model.working.wait(TIMEOUT_S)

        assert list(planner.get_vocabulary().ids) == [1]
        assert planner.state == "active"
        assert planner.set_parameters({"default_threshold": 0.25}).successful
        assert planner.set_vocabulary("blue").vocabulary.version == 2
        assert labels == []

        model.go_on.set()
        label = planner.output_with_stamp_of(frame, labels)
        assert set(label.data) == {0, 1}  # named with the vocabulary that it was started with
        assert set(planner.label_of(IMAGE).flat) == {0, 2}


def test_a_frame_that_waits_is_replaced_by_a_newer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model = HeldSegmenter()
    use(monkeypatch, model)
    with running_node({"classes": ["red"]}) as planner:
        labels = planner.outputs()
        frames = [image_message(IMAGE) for _ in range(4)]
        planner.send(frames[0])
        assert model.working.wait(TIMEOUT_S)
        for number, frame in enumerate(frames[1:], start=2):
            planner.send(frame)
            planner.diagnosis("camera", lambda s, n=number: counts(s)[0] == n, f"{number} frames")

        model.go_on.set()
        planner.output_with_stamp_of(frames[3], labels)
        assert [m.header.stamp for m in labels] == [f.header.stamp for f in (frames[0], frames[3])]
        planner.diagnosis("camera", lambda s: counts(s) == (4, 2, 2), "2 of 4 frames skipped")


def test_cameras_that_wait_together_are_one_batch_and_both_get_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = HeldSegmenter()
    use(monkeypatch, model)
    with running_node({"cameras": ["left", "right"], "classes": ["red"]}) as planner:
        labels = {name: planner.outputs(camera=name) for name in ("left", "right")}
        planner.send(image_message(IMAGE), "left")
        assert model.working.wait(TIMEOUT_S)
        waiting = {name: image_message(IMAGE, frame_id=name) for name in labels}
        for name, frame in waiting.items():
            planner.send(frame, name)
        for name, number in (("left", 2), ("right", 1)):
            planner.diagnosis(name, lambda s, n=number: counts(s)[0] == n, f"{number} frames")

        model.go_on.set()
        for name, frame in waiting.items():
            label = planner.output_with_stamp_of(frame, labels[name])
            assert label.header.frame_id == name
        assert model.batch_sizes == [1, 2]
