"""`~/segment`: one image, one answer, whatever the stream does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from planner import Planner, image_message, pixels, running_node, stripes, target
from sensor_msgs.msg import Image

from zs_seg_ros import srv

IMAGE = stripes("red", "white", "blue")


@pytest.fixture
def planner() -> Iterator[Planner]:
    with running_node() as planner:
        yield planner


def segment(planner: Planner, message: Image, *names: str) -> Any:
    classes = [target(name) for name in names]
    request = srv.SegmentImage.Request(image=message, classes=classes)
    return planner.call(srv.SegmentImage, "segment", request)


def test_an_image_is_answered_with_the_vocabulary_in_force(planner: Planner) -> None:
    planner.set_vocabulary("green")
    planner.set_vocabulary("blue", "red")
    message = image_message(IMAGE, frame_id="hand")
    answer = segment(planner, message)
    assert answer.success and answer.message == ""
    for part in (answer.label, answer.confidence, answer.result):
        assert part.header == message.header
    assert pixels(answer.label)[0, ::16].tolist() == [3, 0, 2]
    assert ((pixels(answer.confidence) > 0) == (pixels(answer.label) > 0)).all()
    assert {o.class_name: o.class_id for o in answer.result.objects} == {"red": 3, "blue": 2}
    assert answer.result.vocabulary_version == 2


def test_classes_of_a_call_leave_those_in_force_alone(planner: Planner) -> None:
    planner.set_vocabulary("red")
    before = planner.get_vocabulary()
    answer = segment(planner, image_message(IMAGE), "white wall", "blue")
    assert pixels(answer.label)[0, ::16].tolist() == [0, 1, 2]
    assert answer.result.vocabulary_version == 0
    assert planner.get_vocabulary() == before
    assert planner.label_of(IMAGE)[0, ::16].tolist() == [1, 0, 0]
    assert list(planner.set_vocabulary("blue").vocabulary.ids) == [2]


def test_calls_are_answered_while_frames_flow(planner: Planner) -> None:
    planner.set_vocabulary("red")
    labels = planner.outputs()
    for _ in range(10):
        planner.send(image_message(IMAGE))
        answer = segment(planner, image_message(IMAGE), "blue")
        assert pixels(answer.label)[0, ::16].tolist() == [0, 0, 1]
    planner.answer_to(image_message(IMAGE))
    assert all(pixels(label)[0, ::16].tolist() == [1, 0, 0] for label in labels)


@pytest.mark.parametrize(
    ("message", "names", "reason"),
    [
        (image_message(IMAGE), (), "no vocabulary is in force"),
        (image_message(IMAGE), ("red", "red"), "twice"),
        (image_message(IMAGE), ("",), "empty"),
        (Image(), ("red",), "0x0"),
        (image_message(IMAGE, "32FC7"), ("red",), "32FC7"),
    ],
)
def test_a_request_that_cannot_be_answered_gets_the_reason(
    planner: Planner, message: Image, names: tuple[str, ...], reason: str
) -> None:
    answer = segment(planner, message, *names)
    assert not answer.success
    assert reason in answer.message
    assert segment(planner, image_message(IMAGE), "red").success


def test_without_a_model_the_answer_says_so() -> None:
    with running_node(state="unconfigured") as planner:
        answer = segment(planner, image_message(np.zeros((4, 4, 3), np.uint8)), "red")
        assert not answer.success
        assert "configure the node first" in answer.message
