# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A model may raise anything at any time: the frame or change is lost, and nothing else."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from planner import image_message, running_node, stripes, values

from zs_seg_ros.segmenters.fake import FakeSegmenter
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

GO_ON = threading.Event()


class FailsOnYellow(FakeSegmenter):
    """Fails on the word and on images that are yellow all over, and hangs on black ones."""

    def encode(self, vocabulary: Vocabulary) -> Any:
        if "yellow" in vocabulary.names:
            raise RuntimeError("out of colours")
        return super().encode(vocabulary)

    def segment(self, batch: Batch, encoded: Any) -> Any:
        if (batch.images[0] == stripes("yellow")[0, 0]).all():
            raise RuntimeError("out of colours")
        if (batch.images[0] == stripes("black")[0, 0]).all() and batch.images[0].shape[0] < 99:
            GO_ON.wait(20)  # not the image that a new vocabulary is tried on
        return super().segment(batch, encoded)


@pytest.fixture(autouse=True)
def failing_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zs_seg_ros.segmenters.fake.FakeSegmenter", FailsOnYellow)


def test_a_frame_on_which_the_model_fails_is_dropped_and_the_next_one_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("zs_seg_ros.ros.diagnostics.RECENT_S", 1.0)
    with running_node({"classes": ["red"]}) as planner:
        labels = planner.outputs()
        planner.send(image_message(stripes("yellow")))
        status = planner.diagnosis_saying("model", "RuntimeError: out of colours", "dropped")
        assert status.level == status.ERROR
        assert labels == [] and planner.state == "active"
        assert planner.label_of(stripes("red")).all()
        planner.diagnosis("model", lambda s: "out of colours" not in s.message, "the error gone by")


def test_a_model_that_fails_on_a_vocabulary_leaves_the_old_one_in_force() -> None:
    with running_node({"classes": ["red"]}) as planner:
        answer = planner.set_vocabulary("yellow")
        assert not answer.success and "RuntimeError: out of colours" in answer.message
        assert planner.ids() == {"red": 1}
        assert planner.label_of(stripes("red")).all()
        assert list(planner.set_vocabulary("green").vocabulary.ids) == [2]


def test_a_model_that_fails_on_the_first_vocabulary_fails_configure() -> None:
    with running_node({"classes": ["yellow"]}, state="unconfigured") as planner:
        assert not planner.change_state("configure")
        assert planner.state == "unconfigured"
        planner.diagnosis_saying("model", "configure failed", "RuntimeError: out of colours")
        assert planner.set_parameters({"classes": ["red"]}).successful
        assert planner.change_state("configure") and planner.change_state("activate")
        assert planner.label_of(stripes("red")).all()


def test_a_model_that_hangs_is_given_up_told_of_and_the_next_frame_is_right() -> None:
    with running_node({"classes": ["red"], "model_timeout": 0.3}) as planner:
        labels = planner.outputs()
        planner.send(image_message(stripes("black")))
        status = planner.diagnosis_saying("model", "did not return within model_timeout (0.3 s)")
        assert status.level == status.ERROR
        assert planner.label_of(stripes("red")).all()
        failed = planner.diagnosis("camera", lambda s: values(s)["frames failed"] == "1", "a loss")
        assert values(failed)["frames out"] == "1"
        GO_ON.set()
        assert planner.label_of(stripes("red")).all()
        assert len(labels) == 2
