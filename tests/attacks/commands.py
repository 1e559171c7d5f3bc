# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Hostile files and places for `zs-seg segment`, and parameter files for the node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import images
import numpy as np
from attack import Attack
from PIL import Image
from process_target import ProcessTarget, refused

COUNT = 34
FILES = (
    "[" * 100_000, "a: &a [*a]", "zs_seg: 7", "zs_seg:\n  ros__parameters: {model: [1, x]}", "\0\1\2", "",
    "zs_seg: {ros__parameters: {min_area: -5}}", "zs_seg: {ros__parameters: {cameras: ['\\e[2J']}}",
)  # fmt: skip


@contextmanager
def target(work: Path, _: dict[str, Path]) -> Iterator[ProcessTarget]:
    processes = ProcessTarget(work)
    processes.begin()
    good = work / "good.png"
    Image.fromarray(np.full((24, 32, 3), 200, np.uint8)).save(good)
    processes.run("zs-seg", "segment", good, "--classes", "red", "--model", "fake")
    processes.reference_mb = processes.memory_mb()[1]
    yield processes


def _segments(path: Path, *more: object) -> Any:
    words = ("segment", path, "--classes", "red", "--model", "fake", *more)
    return lambda processes: refused(processes.run("zs-seg", *words))


def _starts(path: Path) -> Any:
    def act(processes: ProcessTarget) -> str:
        words = ("--ros-args", "-p", "model:=fake", "--params-file", path)
        outcome = processes.run("segmentation_node", *words, ends=False)
        return "" if outcome.code in (0, 1) else f"exit code {outcome.code}"

    return act


def attacks(random: Random, work: Path, foreign: dict[str, Path]) -> Iterator[Attack]:
    for name, data in images.bombs().items():
        path = work / f"{name.replace(' ', '_')}.img"
        path.write_bytes(data)
        # The last is within the limits and is read.
        if name != "png of 3500":
            yield Attack(f"segment {name}", _segments(path))
    good = work / "good.png"
    for kind in ("folder", "fifo", "socket", "zero", "dangling", "giant", "text"):
        yield Attack(f"segment {kind}", _segments(foreign[kind]))
        if kind not in ("folder", "giant", "text"):
            yield Attack(f"write to {kind}", _segments(good, "-o", foreign[kind]))
    for number, text in enumerate(FILES):
        path = work / f"parameters{number}.yaml"
        path.write_text(text)
        yield Attack(f"parameter file {number}", _starts(path))
    for number in range(COUNT - 15 - len(FILES)):
        path = work / f"noise{number}.png"
        path.write_bytes(random.randbytes(random.randrange(1, 3000)))
        yield Attack(f"segment noise {number}", _segments(path))
