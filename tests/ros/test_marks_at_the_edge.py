# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Clicks, boxes and masks at the edge of the image and beyond it, through ~/segment and ~/keep of the node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from planner import Planner, image_message, running_node
from sensor_msgs.msg import RegionOfInterest
from test_keep import HEIGHT, WIDTH, Table, image_of, mask_message
from video_checkpoints import write_following_model

from zs_seg_ros import msg, srv
from zs_seg_ros.perception.masks import decode_runs, full_mask
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.mask_prompts import (
    MarkedPoint,
    MaskPrompt,
    MaskPrompter,
    mask_prompter_of,
)
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.types import Box, DetectedObject

SHOWN = (("red", 10, 10), ("blue", 60, 40))
LAST_X, LAST_Y = WIDTH - 1, HEIGHT - 1
BELOW = [float(np.nextafter(np.float32(end), np.float32(0))) for end in (WIDTH, HEIGHT)]
"""The message has 32 bits for a coordinate."""


@dataclass(frozen=True)
class Served:
    """A node, and the part of its model that answers points and boxes, loaded a second time."""

    planner: Planner
    prompter: MaskPrompter


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    model = write_following_model("sam2", tmp_path_factory.mktemp("pair"), ("red", "blue"))
    parameters = {
        "model": model,
        "device": "cpu",
        "classes": ["red"],
        "min_area": 1,
        "default_threshold": 1.0,  # nothing is detected
    }
    prompter = mask_prompter_of(load_segmenter(model, LoadOptions(device="cpu")))
    with running_node(parameters) as planner:
        yield Served(planner, prompter)


def marked(*points: tuple[float, float], box: Box | None = None) -> msg.MaskPrompt:
    prompt = msg.MaskPrompt(points=[msg.PointPrompt(x=x, y=y) for x, y in points])
    if box is not None:
        prompt.box = RegionOfInterest(
            x_offset=box.left, y_offset=box.top, width=box.width, height=box.height
        )
    return prompt


def whole(detected: Any) -> Any:
    """The mask of an object's message in the whole image."""
    roi = detected.roi
    if not detected.area:
        return np.zeros((HEIGHT, WIDTH), np.bool_)
    mask = decode_runs(detected.counts, roi.height, roi.width)
    box = Box(roi.x_offset, roi.y_offset, roi.width, roi.height)
    return full_mask(mask, box, (HEIGHT, WIDTH))


def mask_of(detected: DetectedObject) -> Any:
    return full_mask(detected.mask, detected.box, (HEIGHT, WIDTH))


ACCEPTED = {
    "first pixel": MaskPrompt((MarkedPoint(0.0, 0.0),)),
    "last pixel": MaskPrompt((MarkedPoint(float(LAST_X), float(LAST_Y)),)),
    "end of the last pixel": MaskPrompt((MarkedPoint(*BELOW),)),
    "negative zero": MaskPrompt((MarkedPoint(-0.0, -0.0),)),
    "background": MaskPrompt((MarkedPoint(45.5, 5.5),)),
    "one point in and one out at the same place": MaskPrompt(
        (MarkedPoint(12, 12), MarkedPoint(12, 12, outside=True))
    ),
    "box of the first pixel": MaskPrompt(box=Box(0, 0, 1, 1)),
    "box of the last pixel": MaskPrompt(box=Box(LAST_X, LAST_Y, 1, 1)),
    "box of one column": MaskPrompt(box=Box(LAST_X, 0, 1, HEIGHT)),
    "box of one row": MaskPrompt(box=Box(0, LAST_Y, WIDTH, 1)),
    "box of the whole image": MaskPrompt(box=Box(0, 0, WIDTH, HEIGHT)),
    "a box and a point outside of it": MaskPrompt((MarkedPoint(90, 60),), box=Box(5, 5, 20, 20)),
    "a box and a point to leave out": MaskPrompt(
        (MarkedPoint(12, 12, outside=True),), box=Box(5, 5, 20, 20)
    ),
}


def test_marks_up_to_the_edge_are_answered_with_the_masks_of_the_model(served: Served) -> None:
    """One call with all of them, in order."""
    image = image_of(*SHOWN)
    prompts = []
    for prompt in ACCEPTED.values():
        points = [
            msg.PointPrompt(x=float(p.x), y=float(p.y), outside=p.outside) for p in prompt.points
        ]
        prompts.append(marked(box=prompt.box))
        prompts[-1].points = points
    request = srv.SegmentImage.Request(image=image_message(image), prompts=prompts)
    answer = served.planner.call(srv.SegmentImage, "segment", request)
    assert answer.success, answer.message
    expected = served.prompter.masks_of_prompts(image, [*ACCEPTED.values()])
    for name, result, detected in zip(ACCEPTED, answer.result.objects, expected, strict=True):
        assert result.area == detected.area, name
        assert np.array_equal(whole(result), mask_of(detected)), name
        assert result.score == pytest.approx(detected.score, abs=1e-5), name


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        (marked((float(WIDTH), 3.0)), "outside of the image of 96x64"),
        (marked((3.0, float(HEIGHT))), "outside of the image of 96x64"),
        (marked((-1e-9, 3.0)), "outside of the image"),
        (marked((float("inf"), 3.0)), "a point at (inf, 3); give two numbers"),
        (marked(box=Box(WIDTH, 0, 1, 1)), "which is not inside the image of 96x64"),
        (marked(box=Box(0, 0, WIDTH + 1, 1)), "which is not inside"),
        (marked(box=Box(2**32 - 1, 2**32 - 1, 2**32 - 1, 2**32 - 1)), "which is not inside"),
        (marked(box=Box(3, 3, 5, 0)), "which is empty"),
        (marked(box=Box(3, 3, 0, 5)), "neither a point nor a box"),
    ],
)
def test_marks_beyond_the_edge_are_refused_in_one_sentence(
    served: Served, prompt: msg.MaskPrompt, reason: str
) -> None:
    image = image_message(image_of(*SHOWN))
    request = srv.SegmentImage.Request(image=image, prompts=[marked((3.0, 3.0)), prompt])
    answer = served.planner.call(srv.SegmentImage, "segment", request)
    assert not answer.success and not answer.result.objects
    assert reason in answer.message and "marked object 2" in answer.message


def first(left: int, top: int, width: int, height: int) -> Any:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[top : top + height, left : left + width] = True
    return mask_message(mask)


@pytest.mark.parametrize(
    ("roi", "prompt"),
    [
        ((0, 0, 1, 1), MaskPrompt((MarkedPoint(0.5, 0.5),))),
        ((LAST_X, LAST_Y, 1, 1), MaskPrompt((MarkedPoint(LAST_X + 0.5, LAST_Y + 0.5),))),
        ((45, 5, 1, 1), MaskPrompt((MarkedPoint(45.5, 5.5),))),
        ((LAST_X, 0, 1, HEIGHT), MaskPrompt(box=Box(LAST_X, 0, 1, HEIGHT))),
        ((0, LAST_Y, WIDTH, 1), MaskPrompt(box=Box(0, LAST_Y, WIDTH, 1))),
        ((0, 0, WIDTH, HEIGHT), MaskPrompt(box=Box(0, 0, WIDTH, HEIGHT))),
    ],
)
def test_a_mark_at_the_edge_and_on_background_is_kept_with_the_mask_of_the_model(
    served: Served, roi: tuple[int, int, int, int], prompt: MaskPrompt
) -> None:
    table = Table(served.planner)
    [expected] = served.prompter.masks_of_prompts(image_of(*SHOWN), [prompt])
    assert expected.area >= 4
    answer = table.keep(*SHOWN, roi=roi, class_name="part")
    assert answer.success, answer.message
    assert np.array_equal(whole(answer.object), mask_of(expected))
    assert table.forget().count == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"roi": (WIDTH, 0, 1, 1)}, "outside of the image of 96x64 pixels"),
        ({"roi": (0, HEIGHT, 1, 1)}, "outside of the image of 96x64 pixels"),
        ({"roi": (LAST_X, LAST_Y, 2, 1)}, "outside of the image of 96x64 pixels"),
        ({"mask": first(0, 0, 1, 1)}, "pixels"),
        ({"mask": first(LAST_X, LAST_Y, 1, 1)}, "pixels"),
        ({"mask": first(0, 0, 3, 1)}, "pixels"),
        ({"mask": mask_message(np.ones((HEIGHT - 1, WIDTH), np.bool_))}, "mask has 96x63 pixels"),
        ({"mask": mask_message(np.ones((WIDTH, HEIGHT), np.bool_))}, "mask has 64x96 pixels"),
        ({"mask": mask_message(np.ones((1, 1), np.bool_))}, "mask has 1x1 pixels"),
        ({"mask": first(0, 0, 9, 9), "roi": (50, 50, 9, 9)}, "mask marks no pixel of roi"),
        ({"mask": first(0, 0, 9, 9), "roi": (90, 60, 9, 9)}, "outside of the image"),
    ],
)
def test_a_mark_that_is_no_object_of_the_image_is_refused_in_one_sentence(
    served: Served, fields: dict[str, Any], reason: str
) -> None:
    table = Table(served.planner)
    version = table.vocabulary().version
    answer = table.keep(*SHOWN, **fields)
    assert not answer.success
    assert reason in answer.message and "fails" not in answer.message
    assert table.vocabulary().version == version
    assert "no object is kept" in table.forget().message


@pytest.mark.parametrize("seconds", [-3600, -6, 3600])
def test_a_stamp_of_no_held_image_is_refused(served: Served, seconds: int) -> None:
    table = Table(served.planner)
    shown = table.objects(*SHOWN)
    stamp = shown.header.stamp
    stamp.sec += seconds
    answer = table.keep(*SHOWN, roi=(12, 12, 1, 1), stamp=stamp)
    assert not answer.success
    assert "take the stamp of a result" in answer.message
