# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The options of `bag_player`."""

from __future__ import annotations

import pytest

from zs_seg_ros.bags.playback import PlaybackOptions
from zs_seg_ros.cli.bag_player import parse, playback_options, without_ros_arguments

RECORDED = ("/a", "/b", "/clock")


@pytest.mark.parametrize(
    ("words", "own", "ros"),
    [
        (["bag"], ["bag"], []),
        (["bag", "-m", "/a:=/b"], ["bag", "-m", "/a:=/b"], []),
        (["bag", "--ros-args", "-p", "rate:=2.0"], ["bag"], ["--ros-args", "-p", "rate:=2.0"]),
        (["--ros-args", "-r", "a:=b", "--", "bag"], ["bag"], ["--ros-args", "-r", "a:=b", "--"]),
    ],
)
def test_ros_arguments_are_separated_from_the_players_own(
    words: list[str], own: list[str], ros: list[str]
) -> None:
    assert without_ros_arguments(words) == (own, ros)


def test_without_options_all_topics_are_played_once() -> None:
    assert playback_options(parse(["bag"]), RECORDED) == PlaybackOptions(RECORDED)


def test_a_recorded_clock_is_excluded_when_the_player_publishes_one() -> None:
    options = playback_options(parse(["bag", "--clock"]), RECORDED)
    assert options.topics == ("/a", "/b")
    assert options.clock_hz == 40.0


def test_options_with_lists_may_be_repeated() -> None:
    arguments = parse(["bag", "-m", "/a:=/x", "b:=~/y", "--topics", "/a", "-m", "/c:=z/k_1"])
    assert arguments.remap == ["/a:=/x", "b:=~/y", "/c:=z/k_1"]
    assert playback_options(arguments, RECORDED).topics == ("/a",)


@pytest.mark.parametrize(
    "rule", ["/a=/b", "/a:=", ":=/b", "/a:=/b b", "/a:=/1b", "/a:=/b/", "/ä:=/b"]
)
def test_a_malformed_remapping_is_refused(rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(["bag", "-m", rule])
    assert f"{rule!r} is not OLD:=NEW, two names of topics" in capsys.readouterr().err
