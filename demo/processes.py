# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Starts the demo's ROS processes with a log file each, monitors them, and ends them with SIGINT."""

from __future__ import annotations

import shutil
from pathlib import Path

from zs_seg_ros.ros.child_process import ChildProcess


class DemoError(Exception):
    """Raised when the demo cannot continue; the message is one sentence for the user."""


class RosProcesses:
    """All processes of the demo; none of them outlives the `with` block."""

    def __init__(self, log_folder: Path) -> None:
        self._log_folder = log_folder
        self._running: list[ChildProcess] = []

    def start(self, name: str, parameters: dict[str, str], node: str = "") -> ChildProcess:
        """Start an executable. node: its node's name, where it is not the usual one."""
        if shutil.which(name) is None:
            raise DemoError(
                f"{name} is not on PATH: run the demo with `make demo`, which builds it"
            )
        arguments = ["--ros-args"] if parameters or node else []
        if node:
            arguments += ["-r", f"__node:={node}"]
        for parameter, value in parameters.items():
            arguments += ["-p", f"{parameter}:={value}"]
        process = ChildProcess(name, arguments, self._log_folder / f"{node or name}.log")
        self._running.append(process)
        return process

    def check(self) -> None:
        """Raise ProcessError when one of them has died."""
        for process in self._running:
            process.check()

    def stop(self) -> dict[str, int]:
        """End all, the last started first; name -> exit code."""
        codes = {}
        while self._running:
            process = self._running.pop()
            codes[process.name] = process.stop()
        return codes

    def __enter__(self) -> RosProcesses:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
