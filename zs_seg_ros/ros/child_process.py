"""An executable of this package as a process of our own: with a log file, watched, and ended with SIGINT."""

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

_PATIENCE_S = 15.0
_LAST_LINES = 12
_PR_SET_PDEATHSIG = 1


class ProcessError(ZeroShotSegmentationError):
    """A process of this package cannot start, or has died."""


class ChildProcess:
    """One running executable. It does not outlive us: not the `with` block, and on Linux not even our being killed."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        """Start it; what it writes goes to `log`. Raises ProcessError when it is not installed."""
        self.name = name
        self.log = log
        command = [str(_find(name)), *arguments]
        # A session of its own: ctrl-C in the terminal reaches us alone, who end this in order.
        with log.open("w") as output:
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
        """Raise ProcessError with the last lines of the log when it is not running any more."""
        code = self._process.poll()
        if code is not None:
            raise ProcessError(
                f"{self.name} ended with exit code {code}; the end of {self.log}:\n{self.tail()}"
            )

    def tail(self) -> str:
        """The last lines of its log, indented."""
        lines = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return "\n".join(f"    {line}" for line in lines) or "    (it wrote nothing)"

    def stop(self) -> int:
        """End it as ctrl-C does, and by force when that does not help; its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                return self._process.wait(_PATIENCE_S)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                self._process.kill()
        return self._process.wait()


def _find(name: str) -> Path:
    """Where `ros2 run` finds it, or else on PATH."""
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
