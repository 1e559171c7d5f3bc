# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Hostile values of parameters, set while the node runs: refused in one sentence, or taken."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from attack import Attack, sentence_fault
from node_target import NodeTarget, node_target, wait_for_state
from rclpy.parameter import Parameter

COUNT = 150
NAMES = (
    "model", "revision", "device", "precision", "compile", "classes", "initial_vocabulary",
    "default_threshold", "min_area", "max_objects", "track", "model_timeout", "vocabulary_timeout", "max_classes",
    "max_prompts", "max_total_prompts", "max_prompt_length", "max_image_side", "max_image_pixels", "autostart",
    "camera.transport", "camera.depth", "no_such_parameter", "\x1b[2J", "", "x" * 10_000,
)  # fmt: skip
VALUES = (
    True, 0, -1, 2**63 - 1, -(2**63), 0.0, 1e308, math.nan, math.inf, "", "x", "\x1b[2J", "y" * 1_000_000,
    "a\n[ERROR] forged", [True], [1, 2], [1.5, math.nan], ["a", "b"], ["\x1b[2J"], ["z"] * 10_000,
)  # fmt: skip


@contextmanager
def target(work: Path, _: dict[str, Path]) -> Iterator[NodeTarget]:
    with node_target(work, "classes:=[red]") as node:
        wait_for_state(node, "active")
        node.listen("camera")
        node.good_image("camera", False)
        yield node


GOOD = {
    "default_threshold": 0.5, "min_area": 1, "max_objects": 100, "model_timeout": 60.0, "max_image_side": 16384,
    "max_image_pixels": 4096 * 3072, "vocabulary_timeout": 60.0, "camera.transport": "raw", "camera.depth": False,
}  # fmt: skip


def _sets(name: str, value: Any) -> Any:
    def act(node: NodeTarget) -> str:
        [result] = node.set_parameters(Parameter(name, value=value).to_parameter_msg())
        if result.successful and name in GOOD:
            [back] = node.set_parameters(Parameter(name, value=GOOD[name]).to_parameter_msg())
            if not back.successful:
                return f"{name} cannot be set back: {back.reason[:200]}"
        # rclpy itself refuses wrong types with a text of its own.
        fault = "" if result.successful else sentence_fault(result.reason[:1500])
        return fault or node.good_image("camera", False)

    return act


def attacks(random: Random, _: Path, __: dict[str, Path]) -> Iterator[Attack]:
    for number in range(COUNT):
        name, value = random.choice(NAMES), random.choice(VALUES)
        yield Attack(f"{number}: {name[:30]!r} = {str(value)[:30]!r}", _sets(name, value))
