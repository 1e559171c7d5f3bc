# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What every user of the node relies on: right labels, right ids, and a vocabulary that changes cleanly."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from planner import (
    LATCHED,
    Planner,
    image_message,
    pixels,
    running_node,
    stripes,
    target,
    wait_until,
)

from zs_seg_ros import msg


@pytest.fixture
def planner() -> Iterator[Planner]:
    with running_node() as planner:
        yield planner


# --- labels ---


def test_each_pixel_gets_the_id_of_the_class_that_is_there(planner: Planner) -> None:
    answer = planner.set_vocabulary("red mug", "blue cup")
    assert answer.success and list(answer.vocabulary.ids) == [1, 2]
    assert (planner.label_of(stripes("red", "white", "blue"))[:, ::16] == [1, 0, 2]).all()


def test_results_carry_the_header_and_size_of_their_image(planner: Planner) -> None:
    planner.set_vocabulary("red")
    message = image_message(
        stripes("red", "white", height=11, width=7), frame_id="left/optical_frame"
    )
    for kind, encoding in (("label", "mono8"), ("confidence", "mono8"), ("overlay", "rgb8")):
        result = planner.answer_to(message, kind)
        assert result.header == message.header
        assert (result.height, result.width, result.encoding) == (11, 14, encoding)
        assert result.step == 14 * (3 if encoding == "rgb8" else 1)


def test_confidence_is_0_exactly_where_nothing_is_labelled(planner: Planner) -> None:
    planner.set_vocabulary(target("red", threshold=0.4))
    shades = np.random.default_rng(7).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    message = image_message(shades)
    planner.outputs("confidence")
    label = pixels(planner.answer_to(message))
    confidence = pixels(planner.output_with_stamp_of(message, planner.outputs("confidence")))
    assert 0 < (label > 0).mean() < 1
    assert ((confidence > 0) == (label > 0)).all()


def test_the_overlay_is_the_image_with_something_drawn_where_it_was_found(
    planner: Planner,
) -> None:
    planner.set_vocabulary("red")
    image = stripes("white", "red", height=60, width=60)
    drawn = pixels(planner.answer_to(image_message(image), "overlay"))
    assert (drawn[:, 60:] != image[:, 60:]).any()
    planner.set_vocabulary("blue")
    assert (pixels(planner.answer_to(image_message(image), "overlay")) == image).all()


def test_a_vocabulary_set_by_service_applies_to_the_next_frame(planner: Planner) -> None:
    image = stripes("red", "blue")
    planner.set_vocabulary("red")
    assert (planner.label_of(image)[0, ::16] == [1, 0]).all()
    planner.set_vocabulary("blue")
    assert (planner.label_of(image)[0, ::16] == [0, 2]).all()
    planner.set_vocabulary("blue", "red")
    assert (planner.label_of(image)[0, ::16] == [1, 2]).all()


def test_prompts_describe_a_class_in_place_of_its_name(planner: Planner) -> None:
    planner.set_vocabulary(target("red thing", "yellow", "green"))
    assert (planner.label_of(stripes("red", "yellow", "green"))[0, ::16] == [0, 1, 1]).all()


# --- ids and versions ---


def test_a_name_that_comes_back_gets_its_old_id(planner: Planner) -> None:
    planner.set_vocabulary("red", "blue")
    planner.set_vocabulary("green")
    answer = planner.set_vocabulary("blue", "yellow", "red")
    assert list(answer.vocabulary.ids) == [2, 4, 1]


def test_no_id_ever_passes_to_another_name_over_many_changes(planner: Planner) -> None:
    rng = random.Random(7)
    names = [f"red thing {i}" for i in range(40)]
    owner: dict[int, str] = {}
    version = 0
    for _ in range(60):
        chosen = rng.sample(names, rng.randint(0, 12))
        refused = bool(chosen) and rng.random() < 0.3
        answer = planner.set_vocabulary(*chosen, *chosen[:1] if refused else ())
        assert answer.success != refused
        version += not refused
        assert answer.vocabulary.version == version
        for c, class_id in zip(answer.vocabulary.classes, answer.vocabulary.ids, strict=True):
            assert owner.setdefault(class_id, c.name) == c.name
    assert len(set(owner.values())) == len(owner) > 30
    assert not {0, 255} & owner.keys()


def test_labels_become_mono16_when_an_id_above_254_is_in_force(planner: Planner) -> None:
    many = [f"thing {i}" for i in range(253)]
    planner.set_vocabulary(*many, "red")
    narrow = planner.answer_to(image_message(stripes("red", "white")))
    assert narrow.encoding == "mono8" and pixels(narrow)[0, 0] == 254

    planner.set_vocabulary("red", "blue")
    wide = planner.answer_to(image_message(stripes("red", "white", "blue")))
    assert wide.encoding == "mono16"
    assert pixels(wide)[0, ::16].tolist() == [254, 0, 256]  # 255 is never given
    message = image_message(stripes("blue", "red"))
    confidence = planner.answer_to(message, "confidence")
    assert confidence.encoding == "mono8" and pixels(confidence).min() > 0
    assert planner.answer_to(message, "overlay").encoding == "rgb8"

    planner.set_vocabulary("red")
    assert planner.answer_to(image_message(stripes("red"))).encoding == "mono8"


# --- warnings ---


def test_an_empty_vocabulary_is_accepted_with_a_warning_and_labels_nothing(
    planner: Planner,
) -> None:
    planner.set_vocabulary("red")
    answer = planner.set_vocabulary()
    assert answer.success and answer.vocabulary.version == 2
    assert any("empty" in warning for warning in answer.warnings)
    assert not planner.label_of(stripes("red", "blue")).any()


def test_a_word_that_the_model_does_not_know_is_accepted_with_a_warning(planner: Planner) -> None:
    answer = planner.set_vocabulary("red", "gryphon")
    assert answer.success
    assert len(answer.warnings) == 1 and "'gryphon'" in answer.warnings[0]
    assert planner.set_vocabulary("red").warnings == []


# --- the latched vocabulary, and one from the start ---


def test_a_late_joiner_learns_the_vocabulary_in_force(planner: Planner) -> None:
    planner.set_vocabulary("red")
    answer = planner.set_vocabulary(target("mug", "blue cup", threshold=0.25), "duck")
    late = planner.listen("/zs_seg/vocabulary", msg.Vocabulary, LATCHED)
    assert wait_until(lambda: late, "the latched vocabulary")[0] == answer.vocabulary
    assert planner.get_vocabulary() == answer.vocabulary


def test_the_vocabulary_is_published_on_activation_and_after_each_change() -> None:
    with running_node(state="inactive") as planner:
        heard = planner.listen("/zs_seg/vocabulary", msg.Vocabulary, LATCHED)
        assert planner.change_state("activate")
        wait_until(lambda: heard, "the vocabulary on activation")
        assert (heard[-1].version, heard[-1].classes) == (0, [])
        for version in (1, 2, 3):
            planner.set_vocabulary("red", f"blue {version}")
            wait_until(lambda v=version: heard[-1].version == v, f"version {version}")
            assert heard[-1] == planner.get_vocabulary()
        assert not planner.set_vocabulary("").success
        assert [vocabulary.version for vocabulary in heard] == [0, 1, 2, 3]


def test_the_stamp_tells_when_a_vocabulary_came_into_force(planner: Planner) -> None:
    before = planner.node.get_clock().now().to_msg()
    stamp = planner.set_vocabulary("red").vocabulary.header.stamp
    after = planner.node.get_clock().now().to_msg()
    assert (before.sec, before.nanosec) <= (stamp.sec, stamp.nanosec) <= (after.sec, after.nanosec)


def test_classes_from_the_parameters_are_in_force_from_the_start() -> None:
    with running_node({"classes": ["red mug", "blue"]}) as planner:
        assert planner.ids() == {"red mug": 1, "blue": 2}
        assert planner.label_of(stripes("blue", "red"))[0, ::16].tolist() == [2, 1]


def test_a_vocabulary_file_is_in_force_from_the_start(tmp_path: Path) -> None:
    file = tmp_path / "words.yaml"
    file.write_text("classes:\n- {name: mug, prompts: [red], threshold: 0.25}\n- blue\n")
    with running_node({"vocabulary_file": str(file)}) as planner:
        vocabulary = planner.get_vocabulary()
        assert vocabulary.version == 1
        assert vocabulary.classes == [target("mug", "red", threshold=0.25), target("blue")]
        assert planner.label_of(stripes("blue", "red"))[0, ::16].tolist() == [2, 1]
