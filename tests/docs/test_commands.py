# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Every command in the pages works: it is run where possible, and otherwise checked against files and interfaces."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import NOT_RUN, Command, check, commands_of, simple_commands
from killed_processes import kill
from pages import LANGUAGES, PAGES, ROOT, blocks_of
from planner import Planner, image_message, repeating, running_node, stamp, stripes
from ros2_commands import Ros2Commands
from sensor_msgs.msg import Image

from zs_seg_ros.bags.bag import shipped_bag

ALL = {page: commands_of(page) for page in PAGES}
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.fixture(scope="module")
def player(ros: None) -> Iterator[Planner]:
    """Start a paused bag_player and return its client."""
    process = subprocess.Popen(["bag_player", str(shipped_bag()), "--start-paused"])
    planner = Planner("bag_player")
    yield planner
    planner.close()
    kill(process)


@pytest.fixture
def ros2(player: Planner) -> Iterator[Ros2Commands]:
    """Start the nodes that the pages use, with one camera named camera, which views something red."""
    with running_node({"classes": ["red mug"]}) as node:
        camera = node.node.create_publisher(Image, "/camera/image_raw", 1)
        message = image_message(stripes("red", height=240, width=320))

        def publish() -> None:
            stamp(message, time.time_ns())
            camera.publish(message)

        with repeating(publish, rate_hz=10):
            yield Ros2Commands({"/zs_seg": node, "/bag_player": player})


@pytest.mark.parametrize("page", [page for page in PAGES if ALL[page]], ids=str)
def test_the_commands_of_a_page_work(
    page: Path, ros2: Ros2Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run all commands of a page in one session, from top to bottom."""
    monkeypatch.chdir(tmp_path)
    wrong = []
    for command in ALL[page]:
        try:
            check(command, ros2, tmp_path)
        except Exception as error:
            wrong.append(f"{command}\n    {type(error).__name__}: {error}")
    assert not wrong, "\n" + "\n".join(wrong)


def test_each_block_says_what_it_is() -> None:
    for page in PAGES:
        for block in blocks_of(page):
            assert block.language in LANGUAGES, f"{block.place}: unknown language {block.language}"


def test_every_reason_not_to_run_a_command_is_still_needed() -> None:
    lines = [" ".join(command.words) for commands in ALL.values() for command in commands]
    assert [known for known in NOT_RUN if not any(known in line for line in lines)] == []


def test_a_line_is_taken_apart_as_a_shell_does() -> None:
    assert list(simple_commands("A=1 make demo && zs-seg fetch 'a b'  # why; not")) == [
        ("A=1", "make", "demo"),
        ("zs-seg", "fetch", "a b"),
    ]
    assert list(simple_commands("# nothing")) == []


@pytest.mark.parametrize(
    "line",
    [
        "frobnicate",
        "A=1 frobnicate",
        "make dessert",
        "zs-seg segment",
        "zs-seg fetch a --loud",
        "ros2 dance",
        "ros2 run zs_seg_ros nothing",
        "ros2 run elsewhere nothing",
        "ros2 launch zs_seg_ros segmentation.launch.py modle:=tabletop",
        "ros2 launch zs_seg_ros segmentation.launch.py preset:=submarine",
        "ros2 launch zs_seg_ros segmentation.launch.py cameras:=front",
        "ros2 topic echo /nowhere",
        "ros2 param set /zs_seg treshold 0.5",
        "ros2 param set /zs_seg default_threshold 1.5",
        "ros2 service call /zs_seg/set_vocabulary zs_seg_ros/srv/SetWords",
        'ros2 service call /zs_seg/set_vocabulary zs_seg_ros/srv/SetVocabulary "{classes: [{nme: a}]}"',
        'ros2 service call /zs_seg/set_vocabulary zs_seg_ros/srv/SetVocabulary "{classes: [{name: 7}]}"',
        'ros2 service call /zs_seg/set_vocabulary zs_seg_ros/srv/SetVocabulary "{classes: [{name: a}, {name: a}]}"',
        "ros2 interface show zs_seg_ros/msg/Nothing",
        "scripts/run.sh scripts/run_tests.sh tests/nowhere/test_nothing.py",
        "export A=$(ros2 pkg prefix zs_seg_ros)/share/zs_seg_ros/config/nothing.xml",
    ],
)
def test_a_command_that_would_fail_is_noticed(line: str, ros: None, tmp_path: Path) -> None:
    with running_node() as planner:
        ros2 = Ros2Commands({"/zs_seg": planner})
        [words] = simple_commands(line)
        with pytest.raises(AssertionError):
            check(Command("here:1", words), ros2, tmp_path)
