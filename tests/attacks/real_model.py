# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Hostile cameras and callers of a node with a real network, the model `tabletop`, over DDS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import images
import vocabularies
from attack import HANG_S, Attack, HangError, sentence_fault
from node_target import NodeTarget, node_target, wait_for_state

from zs_seg_ros import msg

IMAGES, VOCABULARIES = 90, 24
TIMEOUT_S = 6.0
"""vocabulary_timeout of the node, in s; a refusal comes when the step of encoding in progress has ended."""


@contextmanager
def target(work: Path, _: dict[str, Path]) -> Iterator[NodeTarget]:
    parameters = (
        "classes:=[red mug]", "cameras:=[raw, packed]", "raw.depth:=true", "packed.transport:=compressed",
        "packed.depth:=true", "packed.depth_transport:=compressed", f"vocabulary_timeout:={TIMEOUT_S}",
    )  # fmt: skip
    with node_target(work, *parameters, model="tabletop") as node:
        wait_for_state(node, "active")
        node.listen("raw")
        node.listen("packed")
        yield node


def _sets(classes: list[Any], refused: bool | None) -> Any:
    def act(node: NodeTarget) -> str:
        request = node.start_vocabulary(classes)
        deadline = node.deadline(TIMEOUT_S + 2 * HANG_S)
        fault = ""
        while not request.done():
            # Frames go on with the old vocabulary meanwhile.
            fault = fault or node.good_image("raw", False)
            if deadline.over():
                raise HangError("no answer of set_vocabulary")
        answer = request.result()
        fault = fault or ("" if answer.success else sentence_fault(answer.message))
        if refused is not None and answer.success == refused:
            fault = f"success is {answer.success}: {answer.message[:200]!r}"
        again = node.set_vocabulary([msg.TargetClass(name="red mug")], 2 * HANG_S)
        if not again.success:
            return f"a good vocabulary was refused: {again.message}"
        return fault or node.good_image("raw", False)

    return act


def attacks(random: Random, _: Path, __: dict[str, Path]) -> Iterator[Attack]:
    senders = (images._raw, images._packed, images._depth, images._packed_depth, images._info)
    for number in range(IMAGES):
        kind, topic, message = senders[number % len(senders)](random)
        yield Attack(f"{kind} {number}", images.sends(topic, message))
    for name, (classes, refused) in vocabularies.named().items():
        # How many this machine encodes before the time is over depends on the machine.
        yield Attack(name, _sets(classes, None if len(classes) == 1000 else refused))
    for number in range(VOCABULARIES):
        classes = [vocabularies._class(random) for _ in range(random.choice((0, 1, 2, 5, 40)))]
        yield Attack(f"classes {number}", _sets(classes, None))
