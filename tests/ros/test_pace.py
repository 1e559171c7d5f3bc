# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The model's own pace: min_inference_period and CAM.priority, both while the node runs."""

from __future__ import annotations

import time
from typing import Any

import pytest
from panning import view
from planner import image_message, running_node, stripes, values, wait_until

from zs_seg_ros.segmenters.fake import FakeSegmenter
from zs_seg_ros.types import Batch

IMAGE = stripes("red", "blue")


class Recording(FakeSegmenter):
    """Notes when inference starts, and on images of which width."""

    def __init__(self, delay_s: float = 0.0) -> None:
        super().__init__(delay_s)
        self.starts_s: list[float] = []
        self.widths: list[set[int]] = []

    def segment(self, batch: Batch, encoded: Any) -> Any:
        if batch.images[0].shape[0] < 480:  # otherwise it is the node's own first image
            self.starts_s.append(time.monotonic())
            self.widths.append({image.shape[1] for image in batch.images})
        return super().segment(batch, encoded)


def test_the_model_starts_at_most_once_in_the_period_and_other_images_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Recording()
    monkeypatch.setattr("zs_seg_ros.segmenters.fake.FakeSegmenter", lambda: model)
    with running_node({"classes": ["red"], "min_inference_period": 0.4}) as planner:
        labels = planner.outputs()
        frames = [image_message(IMAGE) for _ in range(30)]
        for frame in frames:
            planner.send(frame)
            time.sleep(0.04)
        planner.output_with_stamp_of(frames[-1], labels)
        gaps_s = [
            after - before
            for before, after in zip(model.starts_s, model.starts_s[1:], strict=False)
        ]
        assert gaps_s and min(gaps_s) >= 0.399
        key = "frames left out (min_inference_period)"
        status = planner.diagnosis(
            "camera", lambda s: values(s)["frames out"] == str(len(labels)), "all results"
        )
        entries = values(status)
        left_out, skipped = int(entries[key]), int(entries["frames skipped"])
        assert left_out > 15
        assert int(entries["frames in"]) == len(labels) + left_out + skipped

        assert planner.set_parameters({"min_inference_period": 0.0}).successful
        before = len(model.starts_s)
        for _ in range(5):
            planner.label_of(IMAGE)
        assert model.starts_s[before + 4] - model.starts_s[before] < 5 * 0.4


def test_a_period_that_is_shortened_takes_effect_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_node({"classes": ["red"], "min_inference_period": 3600.0}) as planner:
        labels = planner.outputs()
        planner.label_of(IMAGE)
        frame = image_message(IMAGE)
        planner.send(frame)
        assert planner.set_parameters({"min_inference_period": 0.01}).successful
        planner.output_with_stamp_of(frame, labels)


def test_images_within_the_period_get_carried_results(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Recording()
    monkeypatch.setattr("zs_seg_ros.segmenters.fake.FakeSegmenter", lambda: model)
    requested = {"classes": ["red"], "min_inference_period": 1.0, "propagation": "flow"}
    with running_node(requested) as planner:
        labels = planner.outputs()
        planner.answer_to(image_message(view(0)))
        for shift in range(1, 11):
            planner.answer_to(image_message(view(shift)))
        assert len(labels) == 11 and len(model.starts_s) < 11
        status = planner.diagnosis(
            "camera", lambda s: values(s)["frames out"] == "11", "11 results"
        )
        assert values(status)["frames left out (min_inference_period)"] == "0"


def test_a_camera_of_higher_priority_is_inferred_more_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Recording(delay_s=0.03)
    monkeypatch.setattr("zs_seg_ros.segmenters.fake.FakeSegmenter", lambda: model)
    wide, narrow = stripes("red", "blue", width=32), IMAGE
    requested = {"cameras": ["wide", "narrow"], "classes": ["red"], "min_inference_period": 0.1}
    with running_node(requested) as planner:
        labels = {name: planner.outputs(camera=name) for name in ("wide", "narrow")}

        def batches(count: int) -> list[set[int]]:
            before = len(model.widths)
            while len(model.widths) < before + count:
                planner.send(image_message(wide), "wide")
                planner.send(image_message(narrow), "narrow")
                time.sleep(0.01)
            return model.widths[before : before + count]

        assert {64, 32} in batches(6)
        subscription = planner.depth_of_subscription("/wide/image_raw")
        assert planner.set_parameters({"wide.priority": 2}).successful
        chosen = batches(10)
        assert chosen.count({64}) >= 5 and sum(32 in each for each in chosen) >= 2
        assert planner.set_parameters({"wide.priority": 0}).successful
        assert {64, 32} in batches(6)
        assert planner.depth_of_subscription("/wide/image_raw") == subscription == 1
        wait_until(lambda: all(labels.values()), "results of both")
