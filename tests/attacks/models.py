"""A hostile model folder: configure fails, or the model loads."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from attack import Attack
from files import configure
from node_target import NodeTarget, node_target

import zs_seg_ros

COUNT = 40
VALUES = (None, 0, -1, 1e9, 10**9, "x", "\x1b[2J", [], {}, [1], True, 2**70, "y" * 100_000)


@contextmanager
def target(work: Path, _: dict[str, Path]) -> Iterator[NodeTarget]:
    with node_target(work, "autostart:=false") as node:
        yield node


def _loads(path: str, refused: bool | None) -> Any:
    return lambda node: configure(node, "model", path, refused)


def attacks(random: Random, work: Path, foreign: dict[str, Path]) -> Iterator[Attack]:
    for kind, path in foreign.items():
        yield Attack(f"model is {kind}", _loads(str(path), True))
    built_in = Path(zs_seg_ros.__file__).parent / "builtin_models" / "tabletop"
    if not built_in.is_dir():
        built_in = Path(__file__).parents[2] / "models" / "tabletop"
    config = json.loads((built_in / "config.json").read_text())
    for number in range(COUNT - len(foreign)):
        folder = work / f"model{number}"
        folder.mkdir()
        weights, file = folder / "model.safetensors", folder / "config.json"
        if number % 3 == 0:
            os.mkfifo(weights)
            file.write_text(json.dumps(config))
        elif number % 3 == 1:
            shutil.copyfile(built_in / "model.safetensors", weights)
            key = random.choice(sorted(config))
            file.write_text(json.dumps(config | {key: random.choice(VALUES)}))
        else:
            weights.write_bytes(random.randbytes(random.choice((0, 7, 8, 4000))))
            text = random.choice(
                ("[" * 100_000, "{}", "", "\0", json.dumps(config), '{"a":' * 9999)
            )
            file.write_text(text)
        yield Attack(f"folder {number}", _loads(str(folder), None if number % 3 == 1 else True))
