# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Hostile recordings: bag_player, replay_test and `zs-seg label` read what is left, or refuse them in one sentence."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import goldens
import hostile_bags
from attack import Attack
from process_target import ProcessTarget, refused

CUTS = 10
FORMATS = ("mcap", "coco", "sqlite3")


@contextmanager
def target(work: Path, _: dict[str, Path]) -> Iterator[ProcessTarget]:
    processes = ProcessTarget(work)
    processes.begin()
    good = work / "reference.mcap"
    hostile_bags.foreign_bags.write_mcap(good, hostile_bags.messages(hostile_bags.CAMERA))
    out = work / "reference_out"
    shutil.rmtree(out, ignore_errors=True)
    outcome = processes.run("zs-seg", "label", good, out, "--classes", "red", "--model", "fake")
    if outcome.code:
        raise SystemExit(f"a good recording cannot be labelled: {outcome.output}")
    processes.reference_mb = processes.memory_mb()[1]
    yield processes


def _labels(bag: Path, kind: str, codes: tuple[int, ...]) -> Any:
    def act(processes: ProcessTarget) -> str:
        out = processes.work / f"out_{bag.name}_{kind}"
        words = ("label", bag, out, "--classes", "red", "--model", "fake", "--format", kind)
        return refused(processes.run("zs-seg", *words), codes) or _escaped(processes.work)

    return act


def _plays(bag: Path, codes: tuple[int, ...]) -> Any:
    return lambda processes: refused(
        processes.run("bag_player", bag, "--rate", 100, ends=0 not in codes), codes
    )


def _replays(bag: Path, codes: tuple[int, ...]) -> Any:
    words = (bag, "--model", "fake", "--classes", "red", "--golden", f"{bag}.golden", "--update")
    return lambda processes: refused(processes.run("replay_test", *words), codes)


def _escaped(work: Path) -> str:
    """Return '' when no result lies above the folder of the results."""
    places = [place / "escaped" for place in (work, *work.parents[:2])]
    return "".join(f"{place} was written" for place in places if place.exists())


def attacks(random: Random, work: Path, foreign: dict[str, Path]) -> Iterator[Attack]:
    for kind in ("folder", "full_folder", "fifo", "socket", "zero", "dangling", "giant", "text"):
        yield Attack(f"label {kind}", _labels(foreign[kind], "mcap", (2,)))
        yield Attack(f"play {kind}", _plays(foreign[kind], (2,)))
        yield Attack(f"label into {kind}", _into(foreign[kind]))
    # What is left of these may be read.
    readable = (0, 1, 2)
    uses = itertools.cycle((_labels_as("mcap"), _labels_as("coco"), _plays, _labels_as("sqlite3")))
    for name, bag in _written(random, work, foreign):
        yield Attack(f"{name}, label", _labels(bag, random.choice(FORMATS), readable))
        yield Attack(name, next(uses)(bag, readable))
        if name.startswith("metadata") or random.random() < 0.2:
            yield Attack(f"{name}, replay", _replays(bag, readable))


def _labels_as(kind: str) -> Any:
    return lambda bag, codes: _labels(bag, kind, codes)


def _into(place: Path) -> Any:
    words = ("label", goldens.RECORDING, place, "--classes", "red", "--model", "fake")
    return lambda processes: refused(processes.run("zs-seg", *words))


def _written(random: Random, work: Path, foreign: dict[str, Path]) -> Iterator[tuple[str, Path]]:
    texts = dict(hostile_bags.METADATA)
    texts |= {name: hostile_bags.metadata_text(name) for name in hostile_bags.CHANGES}
    for number, (name, text) in enumerate(texts.items()):
        yield f"metadata {name}", hostile_bags.with_metadata(work / f"metadata{number}", text)
    linked = hostile_bags.with_metadata(work / "linked", hostile_bags.metadata_text("bomb"))
    (linked / "metadata.yaml").unlink()
    (linked / "metadata.yaml").symlink_to(foreign["giant"])
    yield "metadata giant", linked
    for folder in ("mcap", "sqlite", "compressed"):
        (work / folder).mkdir()
    yield from hostile_bags.mcap_bags(random, work / "mcap")
    yield from hostile_bags.sqlite_bags(work / "sqlite")
    yield from hostile_bags.compressed_bags(work / "compressed")
    data = (goldens.RECORDING / "tabletop.mcap").read_bytes()
    for number in range(CUTS):
        path = work / f"cut{number}.mcap"
        path.write_bytes(data[: random.randrange(len(data) // 12)])
        yield f"cut {number}", path
