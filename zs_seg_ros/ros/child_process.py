# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Runs an executable of this package as a child process, with a log file, until it is ended with SIGINT."""

from __future__ import annotations

import ctypes
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from zs_seg_ros.errors import ZeroShotSegmentationError
from zs_seg_ros.files import open_in_place

_STOP_TIMEOUT_S = 15.0
_LAST_LINES = 12
_PR_SET_PDEATHSIG = 1


class ProcessError(ZeroShotSegmentationError):
    """A process of this package cannot start, or has ended unexpectedly."""


class ChildProcess:
    """A running executable. It ends with the `with` block, and on Linux also when this process is killed."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        """Start the executable; its output goes to `log`.

        Raises ProcessError when it is not installed, and FileError when the log is not a regular file or cannot be
        written.
        """
        self.name = name
        self.log = log
        command = [str(_find(name)), *arguments]
        # A session of its own: ctrl-C in the terminal reaches this process alone, which then ends the child.
        with open_in_place(log) as output:
            output.truncate()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def check(self) -> None:
        """Raise ProcessError with the last lines of the log when the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise ProcessError(
                f"{self.name} ended with exit code {code}; the end of {self.log}:\n{self.tail()}"
            )

    def tail(self) -> str:
        """Return the last lines of the log, indented."""
        lines = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return "\n".join(f"    {line}" for line in lines) or "    (it wrote nothing)"

    def stop(self) -> int:
        """End the process with SIGINT, with SIGKILL if it does not end in time, and return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                return self._process.wait(_STOP_TIMEOUT_S)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                self._process.kill()
        return self._process.wait()


def _find(name: str) -> Path:
    """Return the executable's path: where `ros2 run` looks for it, or else on PATH."""
    try:
        installed = Path(get_package_prefix("zs_seg_ros"), "lib", "zs_seg_ros", name)
    except PackageNotFoundError:
        installed = None
    if installed is not None and installed.is_file():
        return installed
    on_path = shutil.which(name)
    if on_path is None:
        raise ProcessError(f"{name} is not installed: build the package and source its setup file")
    return Path(on_path)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
