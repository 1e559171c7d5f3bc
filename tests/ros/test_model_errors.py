"""A model may raise anything at any time: the frame or change is lost, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from planner import image, running_node, stripes

from zs_seg_ros.segmenters.fake import FakeSegmenter
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary import Vocabulary


class FailsOnYellow(FakeSegmenter):
    """Fails on the word and on pictures that are yellow all over."""

    def encode(self, vocabulary: Vocabulary) -> Any:
        if "yellow" in vocabulary.names:
            raise RuntimeError("out of colours")
        return super().encode(vocabulary)

    def segment(self, batch: Batch, encoded: Any) -> Any:
        if (batch.pictures[0] == stripes("yellow")[0, 0]).all():
            raise RuntimeError("out of colours")
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
        planner.send(image(stripes("yellow")))
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
