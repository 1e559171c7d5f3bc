"""Hostile recordings: bag_player and `zs-seg label` refuse them in one sentence."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import goldens
from attack import Attack
from process_target import ProcessTarget, refused

COUNT = 34
MANY = 10**11


@contextmanager
def target(work: Path, _: dict[str, Path]) -> Iterator[ProcessTarget]:
    processes = ProcessTarget(work)
    processes.begin()
    processes.run("zs-seg", "label", "--help")
    processes.reference_mb = processes.memory_mb()[1] + 300  # torch, which the help does not load
    yield processes


def _reads(bag: Path, labels: bool, readable: bool = False) -> Any:
    """readable: what is left of the recording may be read and played, too."""
    codes = (0, 1, 2) if readable else (1, 2)

    def act(processes: ProcessTarget) -> str:
        if labels:
            out = processes.work / f"out_{bag.name}"
            words = ("label", bag, out, "--classes", "red", "--model", "fake")
            return refused(processes.run("zs-seg", *words), codes)
        return refused(processes.run("bag_player", bag, ends=not readable), codes)

    return act


def attacks(random: Random, work: Path, foreign: dict[str, Path]) -> Iterator[Attack]:
    for kind in ("folder", "full_folder", "fifo", "socket", "zero", "dangling", "giant", "text"):
        for labels in (False, True):
            yield Attack(f"is {kind}, label {labels}", _reads(foreign[kind], labels))
    meta = (goldens.RECORDING / "metadata.yaml").read_text()
    texts = {
        "tags": "rosbag2_bagfile_information: !!python/object:os.system x",
        "depth": "[" * 100_000,
        "cut": meta[: len(meta) // 2],
        "blank": "",
        "list": "[]",
        "elsewhere": meta.replace("tabletop.mcap", str(foreign["fifo"])),
    }
    for name, text in texts.items():
        for labels in (False, True):
            yield Attack(
                f"metadata {name}, label {labels}", _reads(_bag(work, name, text), labels, True)
            )
    for number in range(COUNT - 2 * 8 - 2 * len(texts)):
        bag = _bag(work, f"cut{number}", meta)
        storage = bag / "tabletop.mcap"
        data = storage.read_bytes()
        storage.write_bytes(data[: random.randrange(len(data) // 4)])
        yield Attack(f"storage cut {number}", _reads(bag, True, True))


def _bag(work: Path, name: str, metadata: str) -> Path:
    folder = work / f"bag_{name}"
    if not folder.exists():
        folder.mkdir()
        shutil.copyfile(goldens.RECORDING / "tabletop.mcap", folder / "tabletop.mcap")
        (folder / "metadata.yaml").write_text(metadata)
    return folder
