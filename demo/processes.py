"""ROS processes of the demo: started with a log file each, watched, and ended with SIGINT."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType

PATIENCE_S = 15.0
LAST_LINES = 12


class DemoError(Exception):
    """The demo cannot go on; the message is one sentence for people."""


class RosProcess:
    """One executable of the package with its output in `log`."""

    def __init__(self, name: str, parameters: dict[str, str], log: Path) -> None:
        executable = shutil.which(name)
        if executable is None:
            raise DemoError(
                f"{name} is not on PATH: run the demo with `make demo`, which builds it"
            )
        self.name = name
        self.log = log
        command = [executable]
        if parameters:
            command.append("--ros-args")
        for parameter, value in parameters.items():
            command += ["-p", f"{parameter}:={value}"]
        # A session of its own: ctrl-C in the terminal reaches the demo alone, which ends this in order.
        with log.open("w") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def check(self) -> None:
        """Raise DemoError with the last lines of the log when the process is not running any more."""
        code = self._process.poll()
        if code is not None:
            raise DemoError(
                f"{self.name} ended with exit code {code}; its last lines:\n{self.tail()}"
            )

    def tail(self) -> str:
        """The last lines of its log, indented."""
        lines = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join(f"    {line}" for line in lines) or "    (it wrote nothing)"

    def stop(self) -> int:
        """End it as ctrl-C does, and by force when that does not help; its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait()


class RosProcesses:
    """All processes of the demo; none of them outlives the `with` block."""

    def __init__(self, log_folder: Path) -> None:
        self._log_folder = log_folder
        self._running: list[RosProcess] = []

    def start(self, name: str, parameters: dict[str, str]) -> RosProcess:
        process = RosProcess(name, parameters, self._log_folder / f"{name}.log")
        self._running.append(process)
        return process

    def check(self) -> None:
        """Raise DemoError when one of them has died."""
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
