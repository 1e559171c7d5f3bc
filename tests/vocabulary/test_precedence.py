# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Which class is the more specific one, by the words of prompts."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs_seg_ros.vocabulary.precedence import content_words, precedence_of
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary
from zs_seg_ros.vocabulary.word_warnings import word_warnings


def pairs(*prompts: tuple[str, ...]) -> set[tuple[int, int]]:
    """Return (index of the specific class, index of the general one) of classes with these prompts."""
    specific = precedence_of(prompts).specific
    return {(index, general) for general, indices in specific.items() for index in indices}


@pytest.mark.parametrize(
    ("specific", "general"),
    [
        ("white mug", "mug"),
        ("White  MUG", "mug"),
        ("mug, white", "mug"),
        ("the white mug", "a mug"),
        ("white mugs", "mug"),
        ("blue teddy bear", "blue thing"),
        ("duck", "object"),
        ("person's hat", "person"),
        ("small white mug", "small mug"),
        ("tasse à café", "tasse"),
        ("लाल मग", "मग"),
    ],
)
def test_a_prompt_with_all_words_of_another_and_more_is_more_specific(
    specific: str, general: str
) -> None:
    assert pairs((specific,), (general,)) == {(0, 1)}
    assert pairs((general,), (specific,)) == {(1, 0)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("mug", "mug"),
        ("mug", "the mugs"),
        ("white mug", "mug white"),
        ("white mug", "green mug"),
        ("smug", "mug"),  # whole words
        ("लाल", "ल"),  # marks belong to their letters
        ("glass", "glas"),
        ("white mug", "cup"),
        ("!?", "mug"),
        ("thing", "object"),
    ],
)
def test_other_prompts_have_no_precedence(one: str, other: str) -> None:
    assert pairs((one,), (other,)) == set()


def test_one_of_several_prompts_is_enough() -> None:
    assert pairs(("white mug", "tea cup"), ("mug", "beaker")) == {(0, 1)}


def test_a_loose_prompt_beside_a_specific_one_does_not_count() -> None:
    assert pairs(("white mug", "mug"), ("green mug",)) == set()
    assert pairs(("white mug", "mug"), ("small white mug",)) == {(1, 0)}


def test_classes_that_share_a_prompt_have_no_precedence() -> None:
    assert pairs(("white mug", "mug"), ("mug",)) == set()
    assert pairs(("white mug", "cup"), ("mug", "cups")) == set()


def test_classes_that_are_more_specific_than_each_other_have_no_precedence() -> None:
    assert pairs(("white mug", "cup"), ("tea cup", "mug")) == set()


def test_a_circle_over_three_classes_has_no_precedence_and_others_keep_theirs() -> None:
    circle = (("big cup", "pot"), ("big mug", "cup"), ("big pot", "mug"))
    assert pairs(*circle) == set()
    assert pairs(*circle, ("duck",), ("yellow duck",)) == {(4, 3)}


def test_a_class_of_examples_alone_has_no_words() -> None:

    example = Exemplar(np.zeros((4, 4, 3), np.uint8))
    vocabulary = Vocabulary().changed_to(
        [TargetClass("mug"), TargetClass("white mug", exemplars=(example,))]
    )
    assert not vocabulary.precedence.specific


def test_general_classes_come_before_their_specific_ones() -> None:
    precedence = precedence_of([("small white mug",), ("mug",), ("white mug",), ("thing",)])
    assert list(precedence.specific.items()) == [(3, (0, 1, 2)), (1, (0, 2)), (2, (0,))]
    assert precedence.specific_classes == {0, 1, 2}


WORDS = st.lists(st.sampled_from("abcde"), min_size=1, max_size=3).map(" ".join)


@given(st.lists(st.lists(WORDS, min_size=1, max_size=3), max_size=6))
def test_no_class_is_over_others_more_specific_than_itself(prompts: list[list[str]]) -> None:
    specific = precedence_of(prompts).specific
    reached = {general: set(indices) for general, indices in specific.items()}
    for middle, general in product(range(len(prompts)), repeat=2):
        if middle in reached.get(general, ()):
            reached[general] |= reached.get(middle, set())
    for _ in prompts:
        for general in reached:
            for middle in list(reached[general]):
                reached[general] |= reached.get(middle, set())
    assert all(general not in below for general, below in reached.items())
    order = list(specific)
    assert all(
        order.index(general) < order.index(index)
        for general, indices in specific.items()
        for index in indices
        if index in specific
    )


@given(st.lists(WORDS, max_size=8))
def test_of_classes_with_one_prompt_each_the_pairs_are_those_of_their_words(
    prompts: list[str],
) -> None:
    contents = [content_words(prompt) for prompt in prompts]
    expected = {
        (index, general)
        for (index, more), (general, fewer) in product(enumerate(contents), repeat=2)
        if more is not None and fewer is not None and fewer < more
    }
    assert pairs(*((prompt,) for prompt in prompts)) == expected


def test_a_thousand_nested_classes_are_ordered() -> None:
    names = [" ".join(f"w{i}" for i in range(n)) for n in range(1, 60)]
    names += [f"{name} x{i}" for i, name in enumerate(names * 15)]
    assert len(pairs(*((name,) for name in names))) > 10_000


def test_the_pair_is_reported_with_what_to_do() -> None:
    vocabulary = Vocabulary().changed_to([TargetClass("mug"), TargetClass("white mug")])
    [warning] = word_warnings(vocabulary)
    assert "'white mug' is a kind of 'mug' by its words" in warning
    assert "raise the threshold of 'white mug'" in warning


def test_negatives_have_no_part_in_it() -> None:
    vocabulary = Vocabulary().changed_to(
        [TargetClass("cone", negatives=("jacket",)), TargetClass("orange jacket")]
    )
    assert word_warnings(vocabulary) == []


def test_an_article_alone_has_no_content() -> None:
    assert content_words("A") is None and content_words("the") is None
    assert content_words("an object") == frozenset()
