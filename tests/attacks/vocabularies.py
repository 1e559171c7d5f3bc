# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What a hostile caller sends to set_vocabulary: refused in one sentence, or accepted within the limits."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from attack import Attack, sentence_fault
from node_target import NodeTarget, node_target, wait_for_state
from sensor_msgs.msg import Image

from zs_seg_ros import msg

COUNT = 260
TEXTS = (
    "", " ", "red", "a b", "x" * 301, "x" * 10_000, "x" * 300, "\0", "red\nblue", "\x1b[2J", "\u202ered",
    "\u200b", "\x7f", "赤い", "😀" * 50, "%s{}", "../up", "red ", "[ERROR] forged", "\ufeffred", "é" * 299,
)  # fmt: skip
THRESHOLDS = (0.0, 0.5, 1.0, -0.1, 1.1, math.nan, math.inf, -math.inf, 1e-38)


@contextmanager
def target(work: Path, _: dict[str, Path]) -> Iterator[NodeTarget]:
    with node_target(work, "classes:=[red]") as node:
        wait_for_state(node, "active")
        node.listen("camera")
        node.good_image("camera", False)
        yield node


def _sets(classes: list[Any], refused: bool | None) -> Any:
    def act(node: NodeTarget) -> str:
        answer = node.set_vocabulary(classes)
        fault = "" if answer.success else sentence_fault(answer.message)
        if refused is not None and answer.success == refused:
            fault = f"success is {answer.success}: {answer.message[:200]!r}"
        again = node.set_vocabulary([msg.TargetClass(name="red")])
        if not again.success:
            return f"a good vocabulary was refused: {again.message}"
        return fault or node.good_image("camera", False)

    return act


def named() -> dict[str, tuple[list[Any], bool | None]]:
    """Classes, and whether they must be refused."""
    new = msg.TargetClass
    many = [f"red {n}" for n in range(32)]
    return {
        "a name of 10,000 characters": ([new(name="x" * 10_000)], True),
        "an empty name": ([new(name="")], True),
        "a control character": ([new(name="red\x1b[2J")], True),
        "a line end": ([new(name="red\n[ERROR] forged")], True),
        "a NaN threshold": ([new(name="red", threshold=math.nan)], True),
        "a threshold of 1.1": ([new(name="red", threshold=1.1)], True),
        "the same name twice": ([new(name="red"), new(name="red")], True),
        "1001 classes": ([new(name=f"c{n}") for n in range(1001)], True),
        "33 prompts": ([new(name="red", prompts=[*many, "red"])], True),
        "1000 classes of 32 prompts": (
            [new(name=f"c{n}", prompts=many) for n in range(1000)],
            True,
        ),
        "1000 classes": ([new(name=f"red {n}") for n in range(1000)], False),
        "no classes": ([], False),
        "9 exemplars": ([new(name="red", exemplars=[msg.Exemplar()] * 9)], True),
    }


def attacks(random: Random, _: Path, __: dict[str, Path]) -> Iterator[Attack]:
    for name, (classes, refused) in named().items():
        yield Attack(name, _sets(classes, refused))
    for number in range(COUNT - len(named())):
        classes = [_class(random) for _ in range(random.choice((0, 1, 1, 2, 5, 40)))]
        yield Attack(f"classes {number}", _sets(classes, None))


def _class(random: Random) -> Any:
    return msg.TargetClass(
        name=random.choice(TEXTS) + random.choice(("", str(random.randrange(99)))),
        prompts=[random.choice(TEXTS) for _ in range(random.choice((0, 0, 1, 3, 32, 33, 500)))],
        threshold=random.choice(THRESHOLDS),
        exemplars=[_exemplar(random) for _ in range(random.choice((0, 0, 0, 1, 8, 9)))],
    )


def _exemplar(random: Random) -> Any:
    return msg.Exemplar(image=_image(random, "rgb8"), mask=_image(random, "mono8"))


def _image(random: Random, encoding: str) -> Image:
    height, width = (random.choice((0, 1, 8, 100, 20_000, 2**32 - 1)) for _ in range(2))
    message = Image(height=height, width=width, encoding=random.choice((encoding, "", "\x1b[2J")))
    message.step = random.choice((0, width, min(3 * width, 2**32 - 1)))
    message.data = array("B", random.randbytes(random.choice((0, 1, 192, 30_000))))
    return message
