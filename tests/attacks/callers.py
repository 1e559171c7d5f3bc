# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Hostile callers of the node's other services: segment, change_state and those of parameters; and many at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import images
import vocabularies
from attack import HANG_S, Attack, sentence_fault
from node_target import NodeTarget, good_message, node_target, wait_for_state
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters

from zs_seg_ros import msg, srv

COUNT = 150
CALLERS, CALLS_EACH = 20, 10
"""So many calls wait for a service of the node; ROS's client itself keeps 10 by default."""
LABELS = (
    "",
    "configure",
    "activate",
    "x" * 1_000_000,
    "\x1b[2J",
    "a\n[ERROR] forged",
    "on_error",
    "shutdown ",
)
NUMBERS = (5, 6, *range(8, 30), 50, 61, 97, 255)
"""Of transitions that do not exist in the state active: all but 4 (deactivate) and 7 (shutdown)."""


@contextmanager
def target(work: Path, _: dict[str, Path]) -> Iterator[NodeTarget]:
    with node_target(work, "classes:=[red]") as node:
        wait_for_state(node, "active")
        node.listen("camera")
        node.good_image("camera", False)
        yield node


def _segments(image: Any, classes: list[Any]) -> Any:
    def act(node: NodeTarget) -> str:
        request = srv.SegmentImage.Request(image=image, classes=classes)
        answer = node.call(srv.SegmentImage, "segment", request)
        fault = "" if answer.success else sentence_fault(answer.message)
        return fault or node.good_image("camera", False)

    return act


def _changes(label: str, number: int) -> Any:
    def act(node: NodeTarget) -> str:
        node.change_state(label, number)
        state = node.state()
        return f"the node is {state}" if state != "active" else node.good_image("camera", False)

    return act


def _asks(kind: Any, name: str, request: Any) -> Any:
    def act(node: NodeTarget) -> str:
        node.call(kind, name, request)
        return node.good_image("camera", False)

    return act


def _many(node: NodeTarget) -> str:
    """Call set_vocabulary many times at once; each call is answered, and the last vocabulary is in force."""
    node.add_callers(srv.SetVocabulary, "set_vocabulary", CALLERS)
    requests = [
        node.start_vocabulary([msg.TargetClass(name=f"red {number} {caller}")], caller)
        for number in range(CALLS_EACH)
        for caller in range(CALLERS)
    ]
    for request in requests:
        answer = node.wait(request, "set_vocabulary", 4 * HANG_S)
        if not answer.success:
            return f"refused: {answer.message[:200]}"
    again = node.set_vocabulary([msg.TargetClass(name="red")])
    return node.good_image("camera", False) if again.success else again.message


def attacks(random: Random, _: Path, __: dict[str, Path]) -> Iterator[Attack]:
    for number in NUMBERS:
        yield Attack(f"transition {number}", _changes("", number))
    for label in LABELS:
        yield Attack(f"transition {label[:20]!r}", _changes(label, 77))
    names = ["", "x" * 1_000_000, "\x1b[2J", "\0", *(f"p{n}" for n in range(5000))]
    for kind, name, request in (
        (GetParameters, "get_parameters", GetParameters.Request(names=names)),
        (DescribeParameters, "describe_parameters", DescribeParameters.Request(names=names)),
        (
            ListParameters,
            "list_parameters",
            ListParameters.Request(prefixes=names[:50], depth=2**64 - 1),
        ),
    ):
        yield Attack(name, _asks(kind, name, request))
    for number in range(3):
        yield Attack(f"{CALLERS * CALLS_EACH} at once, {number}", _many)
    for number in range(COUNT - len(NUMBERS) - len(LABELS) - 6):
        image = images._image(random, images.ENCODINGS)
        if random.random() < 0.3:
            image = good_message(False, number)
        classes = [vocabularies._class(random) for _ in range(random.choice((0, 0, 1, 5)))]
        if random.random() < 0.1:
            classes = [msg.TargetClass(name="red", threshold=math.nan)]
        yield Attack(f"segment {number}", _segments(image, classes))
