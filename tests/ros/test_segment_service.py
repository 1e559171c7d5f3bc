# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`~/segment`: one image, one answer, whatever the stream does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planner import Planner, image_message, pixels, running_node, stripes, target
from sensor_msgs.msg import Image, RegionOfInterest

from zs_seg_ros import msg, srv
from zs_seg_ros.perception.masks import decode_runs
from zs_seg_ros.testing.owlv2 import small_owlv2_config, write_owlv2
from zs_seg_ros.testing.sam2 import small_sam2_video_config, write_sam2

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


# -- points and boxes --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small detector and a small SAM 2, with random weights."""
    folder: Path = tmp_path_factory.mktemp("pair")
    write_owlv2(folder / "owlv2", small_owlv2_config(), words=("red", "mug"), seed=1)
    write_sam2(folder / "sam2", small_sam2_video_config(), seed=3)
    return f"{folder / 'owlv2'} + {folder / 'sam2'}"


def point(x: float, y: float, outside: bool = False) -> msg.PointPrompt:
    return msg.PointPrompt(x=float(x), y=float(y), outside=outside)


def boxed(name: str, left: int, top: int, width: int, height: int) -> msg.MaskPrompt:
    roi = RegionOfInterest(x_offset=left, y_offset=top, width=width, height=height)
    return msg.MaskPrompt(class_name=name, box=roi)


def test_marked_objects_are_answered_in_order_without_a_vocabulary(pair: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)
    message = image_message(noise, frame_id="hand")
    prompts = [
        msg.MaskPrompt(class_name="mug", points=[point(20.5, 30.5), point(70, 3, outside=True)]),
        msg.MaskPrompt(points=[point(0, 0)]),
        boxed("cup", 10, 5, 40, 30),
        boxed("mug", 50, 20, 30, 28),
    ]
    parameters = {"model": pair, "device": "cpu", "min_area": 1000}
    with running_node(parameters) as planner:
        request = srv.SegmentImage.Request(image=message, prompts=prompts)
        answer = planner.call(srv.SegmentImage, "segment", request)
        assert answer.success and answer.message == ""
        objects = answer.result.objects
        assert [each.class_name for each in objects] == ["mug", "", "cup", "mug"]
        assert [each.class_id for each in objects] == [1, 0, 2, 1]
        assert answer.result.vocabulary_version == 0 and answer.result.header == message.header
        covered = np.zeros((48, 80), bool)
        for each in objects:
            mask = decode_runs(each.counts, each.roi.height, each.roi.width)
            assert mask.sum() == each.area and 0 <= each.score <= 1
            if each.class_id:
                rows, columns = each.roi.y_offset, each.roi.x_offset
                covered[rows : rows + each.roi.height, columns : columns + each.roi.width] |= mask
        label = pixels(answer.label)
        assert np.array_equal(label > 0, covered) and set(np.unique(label)) <= {0, 1, 2}
        assert np.array_equal(pixels(answer.confidence) > 0, covered)

        request = srv.SegmentImage.Request(image=message, everything=True)
        answer = planner.call(srv.SegmentImage, "segment", request)
        assert answer.success and not pixels(answer.label).any()
        assert all(each.class_id == 0 and each.area >= 1000 for each in answer.result.objects)

        marked = [point(3, 3)]
        for wrong, reason in (
            ({"prompts": prompts, "classes": [target("mug")]}, "classes and prompts cannot be"),
            ({"prompts": prompts, "everything": True}, "prompts and everything cannot be"),
            ({"classes": [target("mug")], "everything": True}, "classes and everything"),
            ({"prompts": [msg.MaskPrompt()]}, "neither a point nor a box"),
            (
                {"prompts": [msg.MaskPrompt(points=[point(3, 3, True)])]},
                "only points that its mask",
            ),
            ({"prompts": [msg.MaskPrompt(points=[point(float("nan"), 3)])]}, "(nan, 3)"),
            ({"prompts": [msg.MaskPrompt(points=[point(80, 3)])]}, "outside of the image of 80x48"),
            ({"prompts": [boxed("a", 79, 0, 2, 2)]}, "not inside the image of 80x48"),
            ({"prompts": [boxed("a", 7, 0, 2, 0)]}, "which is empty"),
            ({"prompts": [msg.MaskPrompt(points=marked)] * 65}, "65 marked objects are too many"),
            ({"prompts": [msg.MaskPrompt(points=marked * 65)]}, "has 65 points; at most 64"),
            ({"prompts": [msg.MaskPrompt(points=marked, class_name="a\nb")]}, "line break"),
        ):
            request = srv.SegmentImage.Request(image=message, **wrong)
            answer = planner.call(srv.SegmentImage, "segment", request)
            assert not answer.success and reason in answer.message, (reason, answer.message)


def test_a_model_without_a_mask_model_refuses_points_and_names_those_that_take_them(
    planner: Planner,
) -> None:
    planner.set_vocabulary("red")
    for wrong in ({"prompts": [msg.MaskPrompt(points=[point(3, 3)])]}, {"everything": True}):
        request = srv.SegmentImage.Request(image=image_message(IMAGE), **wrong)
        answer = planner.call(srv.SegmentImage, "segment", request)
        assert not answer.success
        assert "the model fake takes no points and boxes" in answer.message
        assert "SAM 2, EdgeTAM or SAM-HQ" in answer.message
    assert segment(planner, image_message(IMAGE)).success
