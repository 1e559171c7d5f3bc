# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A vocabulary that cannot be accepted: the caller learns why, and the old one goes on working."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from planner import Planner, image_message, running_node, stripes, target
from sensor_msgs.msg import Image

from zs_seg_ros import msg


@pytest.fixture(scope="module")
def planner() -> Iterator[Planner]:
    """One node for all refusals: each must leave it as it was."""
    with running_node() as planner:
        yield planner


def _broken_exemplar() -> msg.TargetClass:
    broken = Image(height=4, width=4, encoding="rgb8", step=12)  # without data
    return msg.TargetClass(name="mug", exemplars=[msg.Exemplar(image=broken)])


def _exemplar_with_small_mask() -> msg.TargetClass:
    mask = image_message(np.ones((2, 2), np.uint8), "mono8")
    exemplar = msg.Exemplar(image=image_message(stripes("red")), mask=mask)
    return msg.TargetClass(name="mug", exemplars=[exemplar])


def _exemplar_of_one_pixel() -> msg.TargetClass:
    exemplar = msg.Exemplar(image=image_message(np.zeros((1, 1, 3), np.uint8)))
    return msg.TargetClass(name="mug", exemplars=[exemplar])


def _exemplar_with_one_marked_pixel() -> msg.TargetClass:
    image = stripes("red")
    mask = np.zeros(image.shape[:2], np.uint8)
    mask[3, 5] = 255
    exemplar = msg.Exemplar(image=image_message(image), mask=image_message(mask, "mono8"))
    return msg.TargetClass(name="mug", exemplars=[exemplar])


REFUSED = {
    "an empty name": (["red", ""], "class 2 is empty"),
    "a name of blanks": ([" \t"], "class 1 is empty"),
    "a repeated name": (["red", "blue", "red"], "'red' occurs twice"),
    "a repeated name but for blanks": (["red", " red "], "'red' occurs twice"),
    "a name with a control character": (["red\x07"], "cannot be printed"),
    "an empty prompt": ([target("mug", "red", "")], "prompt of class 'mug' is empty"),
    "a prompt of 10,000 characters": ([target("mug", "r" * 10_000)], "10000 characters"),
    "a name of 10,000 characters": (["r" * 10_000], "10000 characters"),
    "too many prompts": ([target("mug", *["red"] * 1000)], "1000 prompts"),
    "a threshold that is no number": ([target("mug", threshold=math.nan)], "threshold"),
    "an infinite threshold": ([target("mug", threshold=math.inf)], "threshold"),
    "a threshold above 1": ([target("mug", threshold=1.5)], "threshold"),
    "a negative threshold": ([target("mug", threshold=-0.5)], "threshold"),
    "too many classes": ([f"red {i}" for i in range(1001)], "1001 classes are too many"),
    "a broken exemplar": ([_broken_exemplar()], "exemplar of 'mug'"),
    "an exemplar's mask of another size": ([_exemplar_with_small_mask()], "one size"),
    "an exemplar of one pixel": ([_exemplar_of_one_pixel()], "not 1x1"),
    "an exemplar's mask of one pixel": ([_exemplar_with_one_marked_pixel()], "mask marks 1 of"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_refused_change_says_why_and_leaves_the_old_vocabulary_in_force(
    planner: Planner, reason: str
) -> None:
    classes, words = REFUSED[reason]
    before = planner.set_vocabulary("blue", "red").vocabulary

    answer = planner.set_vocabulary(*classes)

    assert not answer.success and words in answer.message
    assert answer.vocabulary == before == planner.get_vocabulary()
    ids = planner.ids()
    found = planner.label_of(stripes("red", "blue"))[0, ::16]
    assert found.tolist() == [ids["red"], ids["blue"]]
    accepted = planner.set_vocabulary("green")
    assert accepted.success and accepted.message == ""
    assert accepted.vocabulary.version == before.version + 1


def test_a_vocabulary_that_the_model_cannot_use_is_refused(planner: Planner) -> None:
    before = planner.get_vocabulary()
    exemplar = msg.Exemplar(image=image_message(stripes("red")))
    answer = planner.set_vocabulary(msg.TargetClass(name="mug", exemplars=[exemplar]))
    assert not answer.success and "fake cannot use" in answer.message
    assert planner.get_vocabulary() == before
