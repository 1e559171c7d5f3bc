# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The presets of config/presets: node parameters and words that the node takes as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ament_index_python.packages import get_package_share_directory
from planner import Planner, running_node, target

from zs_seg_ros.perception.pipeline import DEFAULT_THRESHOLD

PRESETS = sorted((Path(get_package_share_directory("zs_seg_ros")) / "config/presets").glob("*"))
NAMES = ["clothing", "driving", "manipulator", "medical", "mobile_base", "wildlife"]
CAUTIONED = {
    "clothing": "personal data",
    "driving": "not a safety function",
    "medical": "not a medical device",
    "mobile_base": "not a safety function",
    "wildlife": "night images",
}
LONGEST_PROMPT_WORDS = 6  # models read 16 tokens (OWLv2) or more


def parameters_of(preset: Path) -> dict[str, object]:
    parameters: dict[str, object] = yaml.safe_load(preset.read_text())["/**"]["ros__parameters"]
    return parameters


def test_all_presets_are_installed() -> None:
    assert [preset.stem for preset in PRESETS] == NAMES


@pytest.mark.parametrize("preset", PRESETS, ids=NAMES)
def test_a_preset_is_in_force_after_the_start(preset: Path) -> None:
    requested = parameters_of(preset)
    with running_node(requested | {"model": "fake"}) as planner:
        assert set(requested) <= set(planner.parameter_names())
        for name in set(requested) - {"model"}:
            assert planner.parameter(name) == requested[name]
        vocabulary = planner.get_vocabulary()
    assert vocabulary.version == 1
    assert 10 <= len(vocabulary.classes) <= 20
    prompts = [prompt for c in vocabulary.classes for prompt in c.prompts or [c.name]]
    assert len(set(prompts)) == len(prompts), "a phrase of two classes would be found as either"
    assert all(len(prompt.split()) <= LONGEST_PROMPT_WORDS for prompt in prompts)


@pytest.mark.parametrize("preset", PRESETS, ids=NAMES)
def test_a_preset_says_how_it_is_started_and_what_to_beware_of(preset: Path) -> None:
    heading = preset.read_text().partition("/**:")[0]
    assert f"segmentation.launch.py preset:={preset.stem} " in heading
    caution = " ".join(heading.replace("#", " ").partition("CAUTION:")[2].split())
    assert CAUTIONED.get(preset.stem, "") in caution


# --- the parameter that they need ---

WORDS = "classes: [{name: thing, prompts: [red], threshold: 0.9}, blue]"


def thresholds(planner: Planner) -> dict[str, float]:
    return {c.name: round(c.threshold, 3) for c in planner.get_vocabulary().classes}


def test_an_initial_vocabulary_has_phrases_and_thresholds() -> None:
    with running_node({"initial_vocabulary": WORDS}) as planner:
        assert thresholds(planner) == {"thing": 0.9, "blue": 0.0}
        assert list(planner.get_vocabulary().classes[0].prompts) == ["red"]
        assert planner.set_vocabulary(target("green", threshold=DEFAULT_THRESHOLD)).success
        assert planner.parameter("initial_vocabulary") == WORDS


def test_names_given_by_hand_go_before_an_initial_vocabulary() -> None:
    with running_node({"initial_vocabulary": WORDS, "classes": ["green"]}) as planner:
        assert thresholds(planner) == {"green": 0.0}


def test_a_vocabulary_file_that_exists_goes_before_an_initial_vocabulary(tmp_path: Path) -> None:
    both = {"initial_vocabulary": WORDS, "vocabulary_file": str(tmp_path / "words.yaml")}
    with running_node(both) as planner:
        assert set(thresholds(planner)) == {"thing", "blue"}
        planner.set_vocabulary("white")
    with running_node(both) as planner:
        assert set(thresholds(planner)) == {"white"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[red, blue", "initial_vocabulary cannot be read"),
        ("/etc/words.yaml", "initial_vocabulary has no list named 'classes'"),
        ("classes: [red, red]", "in initial_vocabulary, the name 'red' occurs twice"),
        ("classes: [{name: red, threshold: 7}]", "in initial_vocabulary, the threshold"),
    ],
)
def test_an_initial_vocabulary_that_is_none_fails_configure(text: str, reason: str) -> None:
    with running_node({"initial_vocabulary": text}, state="unconfigured") as planner:
        assert not planner.change_state("configure")
        planner.diagnosis_saying("model", reason)
