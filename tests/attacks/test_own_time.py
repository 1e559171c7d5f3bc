# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What counts as a hang: the time that a process has for itself, not the time for which others hold it up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from own_time import Deadline

SECONDS = 0.3
BUSY = "while True: pass"


@contextmanager
def python(source: str, niceness: int = 0) -> Iterator[int]:
    """Run a program on the first processor of this process; yields its process id."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", f"import os; os.nice({niceness})\n{source}"]
    )
    try:
        os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
        yield process.pid
    finally:
        process.kill()
        process.wait()


def test_a_process_that_waits_for_nothing_but_itself_is_over_time() -> None:
    with python("import time; time.sleep(1000)") as pid:
        deadline = Deadline(pid, SECONDS)
        assert not deadline.over()
        end = time.monotonic() + 30
        while not deadline.over():
            assert time.monotonic() < end
            time.sleep(0.01)


def test_a_process_that_computes_without_end_is_over_time() -> None:
    with python(BUSY) as pid:
        deadline = Deadline(pid, SECONDS)
        end = time.monotonic() + 60
        while not deadline.over():
            assert time.monotonic() < end
            time.sleep(0.01)


def test_a_process_that_others_keep_from_the_processor_is_not_over_time() -> None:
    with python(BUSY, niceness=19) as pid, python(BUSY), python(BUSY):
        time.sleep(0.5)  # until all of them compute
        deadline = Deadline(pid, SECONDS)
        time.sleep(2 * SECONDS)
        assert not deadline.over()
