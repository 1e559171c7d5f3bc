# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Time that a process took for reasons of its own: a busy machine is no fault of it (Linux)."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import psutil

LONGEST_S = 120.0
"""Beyond this a process hangs, however busy the machine is."""


class Deadline:
    """Is over when a process has had `seconds` for itself.

    That is time on the clock, less the time in which the process was ready to run and others had the processors: of the
    thread that waited longest, and of this process, which has to notice the answer. On an idle machine nothing is
    subtracted. It is over as well when the process has used `seconds` on every processor, and after LONGEST_S more.
    """

    def __init__(self, pid: int, seconds: float) -> None:
        self._pid, self._seconds = pid, seconds
        self._start = time.monotonic()
        self._queued = {each: _queued_s(each) for each in (pid, os.getpid())}
        self._used_s = _used_s(pid)

    def over(self) -> bool:
        passed = time.monotonic() - self._start
        if passed <= self._seconds:
            return False
        used = _used_s(self._pid) - self._used_s
        if passed > self._seconds + LONGEST_S or used > self._seconds * (os.cpu_count() or 1):
            return True
        return passed - sum(self._held_up_s(pid) for pid in self._queued) > self._seconds

    def _held_up_s(self, pid: int) -> float:
        before = self._queued[pid]
        now = _queued_s(pid)
        return max((now[task] - before.get(task, 0.0) for task in now), default=0.0)


def _queued_s(pid: int) -> dict[str, float]:
    """Return, for each thread of a process and of its children, how long it was ready and waited for a processor."""
    tasks: dict[str, float] = {}
    for process in _family(pid):
        with suppress(OSError):
            for task in Path(f"/proc/{process}/task").iterdir():
                with suppress(OSError):
                    tasks[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
    return tasks


def _used_s(pid: int) -> float:
    """Return the processor time of a process and its children so far."""
    used = 0.0
    for process in _family(pid):
        with suppress(psutil.Error):
            times = psutil.Process(process).cpu_times()
            used += times.user + times.system
    return used


def _family(pid: int) -> list[int]:
    with suppress(psutil.Error):
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return [pid]
