# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Runs `replay_test` and other executables as processes, and finds the nodes that they start."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from child_processes import children
from killed_processes import kill

TIMEOUT_S = 120.0
FAKE = ("--model", "fake", "--classes", "red square", "blue square", "-p", "min_area:=20")

Result = TypeVar("Result")


def executable(name: str) -> str:
    path = shutil.which(name)
    assert path is not None, "build the package and run the tests in its environment"
    return path


def replay(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `replay_test` until it ends."""
    command = [executable("replay_test"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def make_golden(bag: Path, golden: Path, *arguments: object) -> Path:
    run = replay(bag, "--golden", golden, "--update", *(arguments or FAKE))
    assert run.returncode == 0, run.stderr
    return golden


@contextmanager
def started(name: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Start a process; kill it at the end of the block if it still runs."""
    process = subprocess.Popen(
        [executable(name), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        kill(process)
        process.communicate()


def wait_until(condition: Callable[[], Result], what: str) -> Result:
    """Wait until condition() is true, and return its value."""
    end = time.monotonic() + TIMEOUT_S
    while not (result := condition()):
        assert time.monotonic() < end, f"waited {TIMEOUT_S:.0f} s in vain for {what}"
        time.sleep(0.02)
    return result


def node_started_by(pid: int) -> int:
    """Return the process id of the node that a `replay_test` process has started; 0 before it has."""
    return next(iter(children(pid, "segmentation_node")), 0)
