# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Hostile golden files: replay_test ends with 2 and one sentence."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from attack import Attack
from process_target import ProcessTarget, refused

COUNT = 36
RECORDING = Path(__file__).parents[2] / "recordings" / "tabletop"


@contextmanager
def target(work: Path, _: dict[str, Path]) -> Iterator[ProcessTarget]:
    processes = ProcessTarget(work)
    processes.begin()
    processes.run("replay_test", "--help")
    processes.reference_mb = processes.memory_mb()[1]
    yield processes


def _checks(path: Path, *more: str) -> Any:
    return lambda processes: refused(
        processes.run("replay_test", RECORDING, "--golden", path, *more)
    )


def attacks(random: Random, work: Path, foreign: dict[str, Path]) -> Iterator[Attack]:
    for kind in ("folder", "fifo", "socket", "zero", "dangling", "giant", "text"):
        yield Attack(f"is {kind}", _checks(foreign[kind]))
        if kind != "giant":
            yield Attack(
                f"written to {kind}", _checks(foreign[kind], "--update", "--model", "fake")
            )
    good = (RECORDING / "tabletop.golden").read_bytes()
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        heading = json.loads(archive.read("golden.json"))
    settings = [
        heading["settings"] | change
        for change in ({"vocabulary_file": str(foreign["folder"])}, {"x:=1 -p y": 1}, {"track": 7})
    ]
    texts = ["[" * 100_000, "{}", "NaN", "9" * 100_000, " " * (140 << 20)]
    texts += [json.dumps(heading | {"settings": changed}) for changed in settings]
    for number, text in enumerate(texts):
        path = work / f"heading{number}.golden"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("golden.json", text)
            archive.writestr("objects.jsonl", "")
        yield Attack(f"heading {number}", _checks(path))
    for number in range(COUNT - 13 - len(texts)):
        path = work / f"cut{number}.golden"
        path.write_bytes(good[: random.randrange(len(good) - 30)])
        yield Attack(f"cut {number}", _checks(path))
