# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Warnings about words that hold for every model."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary
from zs_seg_ros.vocabulary.word_warnings import word_warnings


def warnings_of(*classes: str | TargetClass) -> list[str]:
    targets = [TargetClass(c) if isinstance(c, str) else c for c in classes]
    return word_warnings(Vocabulary().changed_to(targets))


@pytest.mark.parametrize(
    "name",
    [
        "red duck, white mug",
        "red duck;white mug",
        "red duck | white mug",
        "red duck / white mug",
        "红鸭，白杯",
    ],
)
def test_a_list_as_one_class_is_reported_with_the_list_to_give(name: str) -> None:
    [warning] = warnings_of(name)
    assert "is one class" in warning
    first = "红鸭" if name.startswith("红") else "red duck"
    assert f"classes:=[{first}, " in warning


@pytest.mark.parametrize(
    "name",
    [
        "red duck/white mug",
        "red duck & white mug",
        "red duck + white mug",
        "red duck and white mug",
        "a red duck AND the white mug",
        "red duck, and white mug",
        "red duck; white mug",
        "red duck/white mug/blue ball",
        "red duck, white mug and blue ball",
        "salt shaker and pepper shaker",
        "red duck or white mug",
    ],
)
def test_descriptions_of_several_objects_are_a_list(name: str) -> None:
    [warning] = warnings_of(name)
    [listed] = re.findall(r"classes:=\[(.*)\]$", warning)
    assert listed == ", ".join(
        re.split(
            r", and |; |, |(?i: and | or |[/&+])", name.replace(" & ", "&").replace(" + ", "+")
        )
    )


@pytest.mark.parametrize(
    "name",
    [
        "[red duck, white mug]",
        "{red duck; white mug}",
        "red duck • white mug",
        "red duck／white mug",
    ],
)
def test_brackets_and_bullets_of_a_list_are_left_out(name: str) -> None:
    [warning] = warnings_of(name)
    assert warning.endswith("classes:=[red duck, white mug]")


@given(
    st.text(st.characters(codec="utf-8") | st.sampled_from(" ,;/&+()[]|"), min_size=1, max_size=40)
)
def test_any_name_that_is_accepted_gives_printable_warnings(name: str) -> None:
    try:
        warnings = warnings_of(name, "duck")
    except VocabularyError:
        return
    for warning in warnings:
        kinds = ("is one class", "have the same prompt", "names no kind", "is a kind of")
        assert any(kind in warning for kind in kinds)
        assert not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in warning)


def test_a_list_may_end_in_two_words_with_and() -> None:
    [warning] = warnings_of("duck, mug and plate")
    assert warning.endswith("classes:=[duck, mug, plate]")
    [warning] = warnings_of("duck, black and white cat")
    assert warning.endswith("classes:=[duck, black and white cat]")


@pytest.mark.parametrize(
    "name",
    [
        "red mug",
        "black/white cow",
        "size 1,",
        "3,5 mm jack",
        "mug and plate",
        "black and white cat",
        "a black & white cat",
        "salt and pepper shaker",
        "light blue and dark green mug",
        "table with red legs and white top",
        "bowl of fruit and green leaves",
        "small, red mug",
        "nuts and bolts",
        "c++ programming book",
        "T-shirt, blue",
        "person (adult, standing)",
        "mug or cup",
        "[red mug]",
        "hand sanitizer",
        "24/7 opening sign",
    ],
)
def test_other_names_are_not_lists(name: str) -> None:
    assert warnings_of(name) == []


def test_a_class_with_prompts_of_its_own_may_have_any_name() -> None:
    assert warnings_of(TargetClass("ducks, mugs", ("a duck", "a mug"))) == []


def test_names_that_differ_in_case_alone_are_reported() -> None:
    [warning] = warnings_of("Red Mug", "red mug", "duck")
    assert "'Red Mug' and 'red mug' have the same prompt, 'red mug'" in warning


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a\u200db", "ab"),
        ("می\u200cخواهم", "میخواهم"),
        ("ｒｅｄ ｍｕｇ", "red mug"),
        ("RED MUG", "ｒｅｄ mug"),
        ("oﬃce chair", "office chair"),
        ("straße", "STRASSE"),
        ("❤\ufe0f", "❤"),
        ("㎝ ruler", "cm ruler"),
    ],
)
def test_names_that_look_nearly_the_same_are_reported(first: str, second: str) -> None:
    [warning] = warnings_of(first, second, "duck")
    assert f"'{first}' and '{second}' have the same prompt" in warning


@pytest.mark.parametrize(("first", "second"), [("mug", "mugs"), ("कप", "कपड़ा"), ("👍🏽", "👍🏿")])
def test_names_that_differ_in_letters_are_not_reported(first: str, second: str) -> None:
    assert warnings_of(first, second) == []


def test_a_prompt_that_two_classes_share_is_reported() -> None:
    cup, mug = TargetClass("cup", ("a cup", "a beaker")), TargetClass("mug", ("a mug", "A BEAKER"))
    [warning] = warnings_of(cup, mug)
    assert "'cup' and 'mug' have the same prompt, 'a beaker'" in warning


def test_prompts_of_one_class_do_not_count() -> None:
    assert warnings_of(TargetClass("mug", ("a mug", "A Mug"))) == []


def test_many_shared_prompts_give_few_warnings() -> None:
    many = [TargetClass(f"class {number}", ("the same",)) for number in range(100)]
    assert len(warnings_of(*many)) == 50


@pytest.mark.parametrize(
    ("prompt", "word"),
    [
        ("object", "object"),
        ("Things", "things"),
        ("it", "it"),
        ("everything", "everything"),
        ("a small red object", "object"),
        ("red thing", "thing"),
        ("the other stuff", "stuff"),
        ("ｏｂｊｅｃｔ", "object"),
        ("a photo of an item", "item"),
    ],
)
def test_a_prompt_that_names_no_kind_of_object_is_reported(prompt: str, word: str) -> None:
    [warning] = [w for w in warnings_of(prompt, "duck") if "names no kind" in w]
    assert f"'{word}' names no kind of object, in " in warning


@pytest.mark.parametrize(
    "prompt",
    [
        "red mug",
        "foreign object debris",
        "car part",
        "piece of cake",
        "light switch",
        "orange",
        "the red one with a handle",
        "square",
        "item 7 bolt",
        "thingamajig",
    ],
)
def test_a_prompt_with_a_kind_of_object_is_not_vague(prompt: str) -> None:
    assert warnings_of(prompt) == []


def test_the_vague_prompts_of_a_class_are_reported_and_its_negatives_are_not() -> None:
    target = TargetClass("mug", ("a mug", "thing"), negatives=("object",))
    [warning] = warnings_of(target)
    assert "'thing' names no kind of object" in warning
