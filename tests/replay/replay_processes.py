"""`replay_test` and its children as processes."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

PATIENCE_S = 120.0
FAKE = ("--model", "fake", "--classes", "red square", "blue square", "-p", "min_area:=20")

Answer = TypeVar("Answer")


def executable(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, "build the package and run the tests in its environment"
    return found


def replay(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command = [executable("replay_test"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def make_golden(bag: Path, golden: Path, *arguments: object) -> Path:
    run = replay(bag, "--golden", golden, "--update", *(arguments or FAKE))
    assert run.returncode == 0, run.stderr
    return golden


@contextmanager
def started(name: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A process that is killed at the end if it still runs."""
    process = subprocess.Popen(
        [executable(name), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(condition: Callable[[], Answer], what: str) -> Answer:
    """What `condition` returns as soon as that is true."""
    end = time.monotonic() + PATIENCE_S
    while not (answer := condition()):
        assert time.monotonic() < end, f"waited {PATIENCE_S:.0f} s in vain for {what}"
        time.sleep(0.02)
    return answer


def child_of(pid: int) -> int:
    """The process id of the node that replay_test has started; 0 before it has."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_text()
        except OSError:  # it has just ended
            continue
        if int(status[1]) == pid and "segmentation_node" in command:
            return int(folder.name)
    return 0


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return False
    return status[0] != "Z"
