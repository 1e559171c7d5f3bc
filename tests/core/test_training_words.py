# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The prompts of training: the held-out pairs never occur, all others often.

`training` is not installed; it runs from the source folder, in a process of its own.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import json
import numpy as np
from training.names import ALL_PAIRS, HELD_OUT_PAIRS, KIND_SYNONYMS, SEEN_PAIRS, known_words
from training.prompts import sample_prompts
rng = np.random.default_rng(0)
batches = [sample_prompts(rng) for _ in range(20)]
print(json.dumps({
    "all": ALL_PAIRS, "held_out": sorted(HELD_OUT_PAIRS), "seen": SEEN_PAIRS, "words": known_words(),
    "synonyms": KIND_SYNONYMS,
    "phrases": [
        [phrase, np.nonzero(row)[0].tolist(), np.nonzero(~judged)[0].tolist()]
        for batch in batches
        for phrase, row, judged in zip(batch.prompts, batch.matches, batch.judged)
    ],
}))
"""


@pytest.fixture(scope="module")
def training() -> Any:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return json.loads(result.stdout)


def test_a_fifth_of_the_pairs_is_held_out(training: Any) -> None:
    assert len(training["all"]) == 120
    assert len(training["held_out"]) == 24
    assert {tuple(p) for p in training["held_out"]} <= {tuple(p) for p in training["all"]}
    assert not {tuple(p) for p in training["held_out"]} & {tuple(p) for p in training["seen"]}


def test_every_kind_and_every_colour_occurs_in_a_held_out_pair(training: Any) -> None:
    assert {kind for _, kind in training["held_out"]} == {kind for _, kind in training["all"]}
    assert {colour for colour, _ in training["held_out"]} == {c for c, _ in training["all"]}


def test_no_training_prompt_describes_a_held_out_pair(training: Any) -> None:
    colour_words = {"violet": "purple"}
    kind_of = {s: kind for kind, synonyms in training["synonyms"].items() for s in synonyms}
    held_out = {tuple(pair) for pair in training["held_out"]}
    said = set()
    for prompt, *_ in training["phrases"]:
        words = [w for w in prompt.split() if w not in ("a", "the", "?unknown?")]
        if words and " ".join(words[1:]) in kind_of:
            said.add((colour_words.get(words[0], words[0]), kind_of[" ".join(words[1:])]))
    assert len(said & {tuple(p) for p in training["all"]}) == 96
    assert not said & held_out


def test_a_prompt_for_one_pair_matches_that_pair_alone(training: Any) -> None:
    pairs = [tuple(pair) for pair in training["all"]]
    for prompt, columns, _ in training["phrases"]:
        if prompt == "red mug":
            assert [pairs[column - 1] for column in columns] == [("red", "mug")]


def test_nonsense_matches_nothing(training: Any) -> None:
    nonsense = [columns for prompt, columns, _ in training["phrases"] if prompt == "?unknown?"]
    assert nonsense
    assert all(columns == [] for columns in nonsense)


def test_a_prompt_is_not_judged_on_objects_whose_colour_or_kind_was_not_trained(
    training: Any,
) -> None:
    pairs = [tuple(pair) for pair in training["all"]]
    held_out = {tuple(pair) for pair in training["held_out"]}
    judgements = {prompt: unjudged for prompt, _, unjudged in training["phrases"]}
    without = {colour for colour, kind in held_out if kind == "duck"}
    assert without == {"red", "purple"}
    assert {pairs[column - 1][0] for column in judgements["duck"]} == without
    red_mug = {pairs[column - 1] for column in judgements["red mug"]}
    mug_without = {colour for colour, kind in held_out if kind == "mug"}
    red_without = {kind for colour, kind in held_out if colour == "red"}
    assert red_mug == {(c, k) for c, k in pairs if c in mug_without or k in red_without}


def test_what_matches_is_judged_wherever_it_can_occur(training: Any) -> None:
    held_out = {training["all"].index(pair) + 1 for pair in training["held_out"]}
    for _, matching, unjudged in training["phrases"]:
        assert set(matching) & set(unjudged) <= held_out
