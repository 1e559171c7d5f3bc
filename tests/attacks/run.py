# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Attacks the package's own processes, and counts what must not happen.

    scripts/run.sh python tests/attacks/run.py [--quick] [--seed N] [--part NAME ...]

Exit code: 0 when all counts but the inputs are zero, 1 otherwise. Everything happens in one temporary folder.
Bounds: 5 s for an answer, on the clock of a process that has the processors when it needs them (own_time.py says how);
resident memory at most 600 MB above its state before an input (of a command: above a good run), for vocabularies 1.5
times that before them, or 200 MB more: requests of megabytes need buffers. A process serves many inputs, and must
answer a good one after each.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from attack import MEMORY_MB, REQUESTS_MB, TRACEBACK, VOCABULARY_MEMORY, Attack, Counts, HangError
from foreign import differences, make_foreign, snapshot
from tqdm import tqdm

PARTS = (
    "images", "vocabularies", "parameters", "files", "models", "commands", "goldens", "bags", "callers", "real_model",
)  # fmt: skip
QUICK_SHARE = 10


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the inputs")
    parser.add_argument("--seed", type=int, default=1, help="of the generated inputs (default: 1)")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS, help="(default: all)")
    arguments = parser.parse_args()
    sys.path.append(str(Path(__file__).parents[1]))  # the folder of this file is there already
    from zs_seg_ros.ros.own_domain import use_own_domain

    use_own_domain()
    total = Counts()
    with tempfile.TemporaryDirectory(prefix="zs_seg_attacks_") as folder:
        os.environ["TMPDIR"] = os.environ["ROS_LOG_DIR"] = folder
        os.environ["PYTHONUNBUFFERED"] = "1"
        import rclpy
        from rclpy.signals import SignalHandlerOptions

        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        for name in arguments.part:
            attack_part(name, Path(folder) / name, arguments.seed, arguments.quick, total)
        rclpy.try_shutdown()
    print(
        f"inputs tried: {total.inputs}\ntracebacks: {total.tracebacks}\nhangs over 5 s: {total.hangs}\n"
        f"memory above the bound: {total.memory}\nfiles changed that are not ours: {total.changed_files}\n"
        f"wrong outcomes: {total.wrong_outcomes}",
        flush=True,
    )
    return 1 if total.faults() else 0


def attack_part(name: str, folder: Path, seed: int, quick: bool, total: Counts) -> None:
    """Run all inputs of a part, and compare the foreign files afterwards."""
    module: Any = importlib.import_module(name)
    work = folder / "work"
    work.mkdir(parents=True)
    places = make_foreign(folder / "foreign")
    before = snapshot(folder / "foreign")
    random = Random(f"{seed} {name}")
    attacks = list(module.attacks(random, work, places))
    if quick:
        chosen = sorted(random.sample(range(len(attacks)), max(1, len(attacks) // QUICK_SHARE)))
        attacks = [attacks[number] for number in chosen]
    remaining = list(attacks)
    with tqdm(total=len(attacks), desc=name, unit="input") as bar:
        # After a hang the rest goes to a new process.
        while remaining:
            with module.target(work, places) as target:
                _attack_process(name, target, remaining, total, bar)
    for path in differences(before, snapshot(folder / "foreign")):
        total.changed_files += 1
        _report(total, f"{name}: {path} was changed")


def _attack_process(
    name: str, target: Any, remaining: list[Attack], total: Counts, bar: Any
) -> None:
    tracebacks, first_mb = 0, 0.0
    while remaining:
        attack = remaining.pop(0)
        total.inputs += 1
        bar.update()
        target.begin()
        hung, fault = False, ""
        try:
            fault = attack.act(target) or target.check_alive()
        except HangError as error:
            hung = True
            total.hangs += 1
            _report(total, f"{name}, {attack.name}: {error}")
        if fault:
            total.wrong_outcomes += 1
            _report(total, f"{name}, {attack.name}: {fault}")
        count = target.log_text().count(TRACEBACK)
        if count > tracebacks:
            total.tracebacks += count - tracebacks
            tracebacks = count
            _report(total, f"{name}, {attack.name}: a traceback")
        if hung or "the process ended" in fault:
            return
        before_mb, peak_mb = target.memory_mb()
        first_mb = first_mb or before_mb
        bound = before_mb + MEMORY_MB
        if name == "vocabularies":
            bound = max(VOCABULARY_MEMORY * first_mb, first_mb + REQUESTS_MB)
        if peak_mb > bound:
            total.memory += 1
            _report(total, f"{name}, {attack.name}: {peak_mb:.0f} MB; the bound is {bound:.0f} MB")


def _report(total: Counts, finding: str) -> None:
    """Print a finding at once: a run takes many minutes."""
    total.findings.append(finding)
    tqdm.write(f"  {finding}", file=sys.stdout)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
