# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What the words of prompts mean to dense embedding models: plurals, word order, articles and attributes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from inputs import words

from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.dense.config import DenseConfig
from zs_seg_ros.segmenters.dense.network import DenseNetwork
from zs_seg_ros.segmenters.dense.words import WordRules, singular
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter

KNOWN = frozenset({"red", "mug", "box", "teddy", "lens", "dice", "bear", "glass"})


@pytest.mark.parametrize(
    ("plural", "expected"),
    [
        ("mugs", "mug"),
        ("boxes", "box"),
        ("teddies", "teddy"),
        ("lens", "lens"),
        ("glasses", "glass"),
        ("reds", "red"),
        ("dices", "dice"),
        ("buses", "buses"),
        ("s", "s"),
        ("", ""),
    ],
)
def test_plurals_of_known_words_are_read_as_these(plural: str, expected: str) -> None:
    assert singular(plural, KNOWN) == expected


@pytest.fixture
def rules() -> WordRules:
    return WordRules(
        KNOWN,
        silent=frozenset({"the", "thing"}),
        ignored=frozenset({"wooden", "toy"}),
        leading=frozenset({"red"}),
    )


@pytest.mark.parametrize(
    ("prompt", "embedded", "ignored", "unknown"),
    [
        ("mug red", "red mug", "", ""),
        ("red mug", "red mug", "", ""),
        ("the wooden red boxes", "red box", "wooden", ""),
        ("wooden toys", "wooden toy", "", "wooden toys"),
        ("the thing", "the thing", "", "the thing"),
        ("the", "the", "", "the"),
        ("helicopter the red", "red helicopter", "", "helicopter"),
        ("toy helicopter", "helicopter", "toy", "helicopter"),
    ],
)
def test_prompts_are_read_by_the_rules(
    rules: WordRules, prompt: str, embedded: str, ignored: str, unknown: str
) -> None:
    assert rules.normalised(prompt.split()) == embedded.split()
    assert rules.ignored_in(prompt.split()) == ignored.split()
    assert rules.unknown_in(prompt.split()) == unknown.split()


def test_without_rules_words_stay_in_their_order() -> None:
    assert WordRules(frozenset({"a"})).normalised(["b", "a", "b"]) == ["b", "a", "b"]


def test_the_lists_of_words_are_written_and_read(tmp_path: Path) -> None:
    import json

    config = DenseConfig(("red", "mug"), silent_words=("the",), leading_words=("red",))
    config.write(tmp_path / "config.json")
    assert DenseConfig.of(json.loads((tmp_path / "config.json").read_text())) == config
    network = DenseNetwork(config)
    first, second = network.tokenize(["the mugs, red", "red mug"])
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", ["words", "silent_words", "ignored_words", "leading_words"])
def test_a_list_of_words_that_are_no_texts_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at most"):
        replace(DenseConfig(("mug",)), **{name: (1,)})


@pytest.fixture(scope="module")
def tabletop() -> Segmenter:
    return load_segmenter("tabletop", LoadOptions(device="cpu"))


@pytest.mark.parametrize(
    ("prompt", "plain"),
    [
        ("mug white", "white mug"),
        ("the white mugs", "white mug"),
        ("red things", "red"),
        ("ducks, yellow", "yellow duck"),
        ("teddies", "teddy"),
        ("wooden cube", "cube"),
        ("large red mug", "red mug"),
        ("rubber duck", "duck"),
        ("balls for soccer", "balls for soccer"),
    ],
)
def test_the_built_in_model_embeds_a_phrase_as_its_plain_form(
    tabletop: Segmenter, prompt: str, plain: str
) -> None:
    first, second = tabletop.embed_prompts([prompt, plain])  # type: ignore[attr-defined]
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("prompt", "named"),
    [("wooden cube", "'wooden'"), ("large toy duck", "'large', 'toy'"), ("tiny mugs", "'tiny'")],
)
def test_attributes_that_change_nothing_are_named(
    tabletop: Segmenter, prompt: str, named: str
) -> None:
    [warning] = tabletop.encode(words(prompt)).warnings
    assert f"does not distinguish {named} in" in warning


@pytest.mark.parametrize("prompt", ["the mugs", "a red mug", "mug red", "stars", "red things"])
def test_plurals_articles_and_word_order_get_no_warning(tabletop: Segmenter, prompt: str) -> None:
    assert tabletop.encode(words(prompt)).warnings == ()
