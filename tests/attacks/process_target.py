# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Commands of the package, one process for each input."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from attack import HANG_S, START_S, HangError, sentence_fault
from node_target import command
from own_time import Deadline


@dataclass(frozen=True)
class Outcome:
    """code: negative for a signal. ended: whether the process ended by itself."""

    code: int
    output: str
    peak_mb: float
    ended: bool


class ProcessTarget:
    """Runs commands; the log of all of them is searched for tracebacks."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self._peak_mb = 0.0
        self._text = ""
        self.reference_mb = 0.0

    def begin(self) -> None:
        self._peak_mb = 0.0

    def memory_mb(self) -> tuple[float, float]:
        return self.reference_mb, self._peak_mb

    def log_text(self) -> str:
        return self._text

    def check_alive(self) -> str:
        return ""

    def run(self, name: str, *arguments: object, ends: bool = True) -> Outcome:
        """Run a command until it ends; one that does not end by itself (ends False) is ended after a while."""
        log = self.work / "command.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [command(name), *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.work,
            )
        code, by_itself = None, True
        try:
            code = self._wait(process, START_S + HANG_S if ends else START_S)
            if code is None and not ends:
                by_itself = False
                os.kill(process.pid, signal.SIGINT)
                code = self._wait(process, HANG_S)
        finally:
            if code is None:
                process.kill()
                process.wait()
            text = log.read_text(errors="replace")
            self._text += text
        if code is None:
            raise HangError(f"{name} did not end")
        return Outcome(code, text, self._peak_mb, by_itself)

    def _wait(self, process: subprocess.Popen[bytes], seconds: float) -> int | None:
        deadline = Deadline(process.pid, seconds)
        while not deadline.over():
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                self._peak_mb = max(self._peak_mb, usage.ru_maxrss * 1024 / 1e6)
                process.returncode = os.waitstatus_to_exitcode(status)
                return process.returncode
            time.sleep(0.01)
        return None


def refused(outcome: Outcome, codes: tuple[int, ...] = (2,)) -> str:
    """Return '' when a command ended with one of the codes and printable lines, the last one a sentence."""
    if outcome.code not in codes:
        return f"exit code {outcome.code}: {outcome.output[-300:]!r}"
    lines = outcome.output.strip().splitlines()
    return sentence_fault(lines[-1] if lines else "")
