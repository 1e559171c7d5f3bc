# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The options of `bag_player`, named as those of `ros2 bag play`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from zs_seg_ros.bags.playback import FASTEST, SLOWEST, PlaybackOptions
from zs_seg_ros.shown import quoted

_CLOCK_HZ = 40.0
_NAME = r"(~?/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*"
_HELP = """\
Publish a rosbag2 recording (sqlite3 or mcap, compressed or not): each message at its recorded time, unchanged, with
the QoS that it was recorded with. rosbag2 need not be installed.

Pause, step and the rate are services and a parameter of the node bag_player:
  ros2 service call /bag_player/toggle_paused std_srvs/srv/Trigger
  ros2 param set /bag_player rate 0.5

Exit code: 0 at the end and after ctrl-C, 2 when the recording or an argument is wrong.
"""


def without_ros_arguments(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the arguments into the player's own, and the ROS arguments: from --ros-args up to `--` or the end.

    rclpy's remove_ros_args cannot do this: it removes OLD:=NEW as well, a remapping without --ros-args.
    """
    own: list[str] = []
    ros: list[str] = []
    current = own
    for word in words:
        if word == "--ros-args":
            current = ros
        current.append(word)
        if word == "--":
            current = own
    return own, ros


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the player's own arguments. Wrong ones raise SystemExit(2) (argparse)."""
    return _parser().parse_args(arguments)


def playback_options(arguments: argparse.Namespace, bag_topics: Collection[str]) -> PlaybackOptions:
    """Convert parsed arguments. A recorded /clock is excluded when the player publishes its own."""
    excluded = set(arguments.exclude_topics)
    if arguments.clock:
        excluded.add("/clock")
    return PlaybackOptions(
        topics=tuple(n for n in arguments.topics or bag_topics if n not in excluded),
        start_offset_s=arguments.start_offset,
        duration_s=arguments.playback_duration,
        rate=arguments.rate,
        loop=arguments.loop,
        paused=arguments.start_paused,
        delay_s=arguments.delay,
        clock_hz=arguments.clock,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bag_player",
        usage="bag_player BAG [OPTION ...] [--ros-args ...]",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("bag", type=Path, metavar="BAG", help="the folder that `ros2 bag record` has written")
    add(
        "-r",
        "--rate",
        type=_number(SLOWEST, FASTEST),
        default=1.0,
        help="recorded seconds a second (default: 1)",
    )
    add("-l", "--loop", action="store_true", help="start again at the end, without end")
    add(
        "--start-offset",
        type=_number(0),
        default=0.0,
        metavar="S",
        help="skip this many seconds; latched messages of that time are published first",
    )
    add(
        "--playback-duration",
        type=_number(0),
        metavar="S",
        help="play this many recorded seconds (default: to the end)",
    )
    add("--topics", nargs="+", action="extend", default=[], metavar="TOPIC", help="play only these")
    add(
        "--exclude-topics",
        nargs="+",
        action="extend",
        default=[],
        metavar="TOPIC",
        help="do not play these",
    )
    add(
        "--clock",
        type=_number(0.1, 10_000),
        nargs="?",
        const=_CLOCK_HZ,
        default=0.0,
        metavar="HZ",
        help=f"publish the recorded time on /clock, at this rate (default: {_CLOCK_HZ:g})",
    )
    add(
        "-m",
        "--remap",
        nargs="+",
        action="extend",
        type=_remapping,
        default=[],
        metavar="OLD:=NEW",
        help="publish under other names",
    )
    add("-p", "--start-paused", action="store_true", help="wait for ~/resume or ~/play_next")
    add(
        "-d",
        "--delay",
        type=_number(0),
        default=0.0,
        metavar="S",
        help="wait this many seconds before each round",
    )
    add(
        "--wait-for-subscribers",
        action="store_true",
        help="start when one of the topics has a subscriber",
    )
    add(
        "--wait-for-all-acked",
        type=_number(0),
        default=1000.0,
        metavar="MS",
        help="at the end, wait this long for reliable subscribers to acknowledge all (default: 1000; 0: no limit)",
    )
    return parser


def _number(least: float, most: float = float("inf")) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = float(text)
        if not least <= value <= most or value == float("inf"):
            limits = f"{least:g} or more" if most == float("inf") else f"{least:g} to {most:g}"
            raise argparse.ArgumentTypeError(f"{text} is out of range: {limits}")
        return value

    return number


def _remapping(text: str) -> str:
    if not re.fullmatch(f"{_NAME}:={_NAME}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not OLD:=NEW, two names of topics")
    return text
