# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Makes and removes the Python environment of the executables. Only the standard library is imported."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from zs_seg_download_size import described_size
from zs_seg_environment import COMPLETE

STARTED = "zs_seg_ros_environment.partial"
OPTIONAL = "zs_seg_ros_environment.optional"
"""A file in the environment with the names of the optional packages in it, one a line."""
WITHOUT_DEPENDENCIES = ("timm",)
"""Optional packages whose dependencies, torchvision for example, are not needed and would replace torch."""
KEPT = {
    "numpy": ("numpy", (1, 26), (3,)),
    "opencv-python-headless": ("cv2", (4, 8), (5,)),
}
"""Packages of the system that are kept where they fit: module, lowest version, and the first one that is too high."""
GPU_FILES = ("/dev/nvidia[0-9]*", "/dev/nvhost-gpu", "/dev/nvgpu")


class InstallationError(Exception):
    """Raised when the environment cannot be made or removed; one sentence that says what to do."""


def requirements_folder() -> Path:
    """Return the folder of the lists of requirements: installed, or that of the repository."""
    here = Path(__file__).resolve().parent
    for folder in (here.parents[1] / "share/zs_seg_ros/requirements", here.parent / "requirements"):
        if (folder / "runtime.txt").is_file():
            return folder
    raise InstallationError(f"there are no lists of requirements beside {here}: build again")


class Installation:
    """One environment in `folder`.

    torch_index: the address of an index with torch for CPUs, or empty. gpu: whether torch gets the libraries for GPUs
    though this machine may have none, as in the build of a container.
    """

    def __init__(self, folder: Path, torch_index: str = "", *, gpu: bool = False) -> None:
        self.folder, self.torch_index, self.gpu = folder, torch_index, gpu
        self.python = folder / "bin" / "python"
        self._cache = (
            folder / "download_cache"
        )  # an index without metadata of its own has them in the wheels alone

    def make(self, *, only_size: bool = False) -> None:
        """Make the environment unless it is up to date. only_size: print the download's size, and change nothing."""
        if self._up_to_date():
            return
        if only_size:
            self._print_size_by_trial()
            return
        with self._alone():
            self._make()

    def add(self, packages: list[str]) -> None:
        """Install optional packages into the environment, which is made first where it is not there."""
        with self._alone():
            if not self._up_to_date():
                self._make()
            self._install_optional(sorted({*self._optional(), *packages}))

    def remove(self) -> None:
        """Remove the environment, and its parent folder if that is empty then. Only one made here is removed."""
        if not self.folder.exists() and not self.folder.is_symlink():
            raise InstallationError(f"there is no environment in {self.folder}")
        with self._alone():
            self._remove()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Raise InstallationError while another command changes the environment; otherwise keep others from it."""
        parent = self.folder.parent
        parent.mkdir(parents=True, exist_ok=True)
        lock = parent / f"{self.folder.name}.lock"
        with lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not os.fstat(file.fileno()).st_nlink:  # its last holder removed it since
                    raise BlockingIOError
            except BlockingIOError:
                raise InstallationError(
                    f"another install_dependencies is changing {self.folder}: wait until it has ended"
                ) from None
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
                if parent.name == "zs_seg_ros" and not any(parent.iterdir()):
                    parent.rmdir()

    def _up_to_date(self) -> bool:
        complete = self.folder / COMPLETE
        fingerprint = self._fingerprint(requirements_folder())
        if complete.is_file() and complete.read_text() == fingerprint:
            print(f"{self.folder} is up to date.")
            return True
        return False

    def _make(self) -> None:
        requirements = requirements_folder()
        optional = self._optional()
        self._remove()
        self._make_virtual_environment()
        with tempfile.TemporaryDirectory() as temporary:
            options = self._options(requirements, Path(temporary))
            self._print_size(options, Path(temporary))
            if self._pip([*options, "--progress-bar", "off"]).returncode:
                raise InstallationError(
                    "pip could not install the packages, for the reason above; then run the same command again"
                )
        if optional:
            self._install_optional(optional)
        shutil.rmtree(self._cache, ignore_errors=True)
        (self.folder / COMPLETE).write_text(self._fingerprint(requirements))
        print(f"Installed in {self.folder}. The executables of zs_seg_ros use it from now on.")

    def _print_size_by_trial(self) -> None:
        """Print the download's size from an empty environment in a temporary folder; one in use stays as it is."""
        with tempfile.TemporaryDirectory() as temporary:
            trial = Installation(Path(temporary) / "trial", self.torch_index, gpu=self.gpu)
            trial._make_virtual_environment()
            trial._print_size(
                trial._options(requirements_folder(), Path(temporary)), Path(temporary)
            )

    def _optional(self) -> list[str]:
        file = self.folder / OPTIONAL
        return file.read_text().split() if file.is_file() else []

    def _install_optional(self, packages: list[str]) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            options = self._options(requirements_folder(), Path(temporary))
            limits = options[options.index("--constraint") :]
            alone = [name for name in packages if _name(name) in WITHOUT_DEPENDENCIES]
            others = [name for name in packages if name not in alone]
            for names, more in ((others, []), (alone, ["--no-deps"])):
                if (
                    names
                    and self._pip([*limits, "--progress-bar", "off", *more, *names]).returncode
                ):
                    raise InstallationError(
                        f"pip could not install {' '.join(names)}, for the reason above; "
                        "then run the same command again"
                    )
        shutil.rmtree(self._cache, ignore_errors=True)
        (self.folder / OPTIONAL).write_text("\n".join(packages) + "\n")

    def _remove(self) -> None:
        """Remove the environment if it is there. Only one made here, or an empty folder, is removed."""
        if not self.folder.exists() and not self.folder.is_symlink():
            return
        marks = [self.folder / name for name in (COMPLETE, STARTED)]
        empty = self.folder.is_dir() and not any(self.folder.iterdir())
        if self.folder.is_symlink() or not (empty or any(mark.is_file() for mark in marks)):
            raise InstallationError(
                f"{self.folder} was not made by this command and is left: give another --environment"
            )
        # The mark goes last, so that a removal that is interrupted can be repeated.
        (self.folder / STARTED).touch()
        (self.folder / COMPLETE).unlink(missing_ok=True)
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != STARTED:
                path.unlink()
        shutil.rmtree(self.folder)

    def _fingerprint(self, requirements: Path) -> str:
        digest = hashlib.sha256(f"{sys.version}\0{self.folder}\0{self.torch_index}".encode())
        if self.gpu:
            digest.update(b"gpu")
        for name in ("runtime.txt", "constraints.txt"):
            digest.update((requirements / name).read_bytes())
        return digest.hexdigest()

    def _make_virtual_environment(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / STARTED).touch()
        command = [sys.executable, "-m", "venv", "--system-site-packages", str(self.folder)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            self._remove()
            raise InstallationError(
                f"`{' '.join(command)}` failed with exit code {result.returncode}: install Python's venv module, "
                "on Debian and Ubuntu with `sudo apt install python3-venv`"
            )

    def _options(self, requirements: Path, temporary: Path) -> list[str]:
        """Return the arguments of `pip install`, for the requirements less those that the system satisfies."""
        lines = (requirements / "runtime.txt").read_text().splitlines()
        constraints = (requirements / "constraints.txt").read_text().splitlines()
        for name, (module, lowest, too_high) in KEPT.items():
            version = self._version_of(module)
            if version and lowest <= _numbers(version) < too_high:
                lines = [line for line in lines if _name(line) != name]
                constraints = [line for line in constraints if _name(line) != name]
                if name == "numpy":  # nothing may replace it
                    constraints.append(f"numpy=={version}")
                print(f"Keeping the system's {name} {version}.")
        if not any(_name(line) == "setuptools" for line in constraints):
            constraints.append("setuptools<80")  # colcon's limit
        if self.gpu or has_nvidia_gpu():
            lines = [_without_cpu_build(line) for line in lines]
        else:
            lines = self._with_torch_for_cpus(lines)
        chosen, limits = temporary / "requirements.txt", temporary / "constraints.txt"
        chosen.write_text("\n".join(lines) + "\n")
        limits.write_text("\n".join(constraints) + "\n")
        options = ["--requirement", str(chosen), "--constraint", str(limits)]
        return [*options, *self._extra_index()]

    def _version_of(self, module: str) -> str:
        code = f"import {module}; print({module}.__version__)"
        command = [str(self.python), "-c", code]
        result = subprocess.run(
            command, env=_variables(), capture_output=True, text=True, check=False
        )
        return "" if result.returncode else result.stdout.strip()

    def _extra_index(self) -> list[str]:
        return ["--extra-index-url", self.torch_index] if self.torch_index else []

    def _with_torch_for_cpus(self, lines: list[str]) -> list[str]:
        """Return the lines with the CPU build of torch, where an index or folder that pip knows has it."""
        [torch] = [line for line in lines if _name(line) == "torch"]
        trial = [*self._extra_index(), "--dry-run", "--no-deps", "--quiet", f"{torch}+cpu"]
        if self._pip(trial, quiet=True).returncode == 0:
            return [f"{line}+cpu" if line == torch else line for line in lines]
        print(
            "There is no NVIDIA GPU, and no index that pip knows offers torch for CPUs alone: the default build "
            "brings the libraries for GPUs. --torch-index URL names an index that has it."
        )
        return lines

    def _print_size(self, options: list[str], temporary: Path) -> None:
        report = temporary / "report.json"
        arguments = [*options, "--dry-run", "--quiet", "--report", str(report)]
        if self._pip(arguments, quiet=True).returncode or not report.is_file():
            print("The size of the download is not known: pip cannot report it in advance.")
            return
        print(f"Downloading {described_size(report)}.", flush=True)

    def _pip(
        self, arguments: list[str], *, quiet: bool = False
    ) -> subprocess.CompletedProcess[bytes]:
        command = [str(self.python), "-m", "pip", "install", "--cache-dir", str(self._cache)]
        command += arguments
        output = subprocess.DEVNULL if quiet else None
        return subprocess.run(command, env=_variables(), stdout=output, stderr=output, check=False)


def _variables() -> dict[str, str]:
    """Return the environment variables without those that would lead pip to other folders."""
    unwanted = {"PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX"}
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return kept | {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def has_nvidia_gpu() -> bool:
    """Return whether this machine has a GPU that torch's CUDA build can use."""
    return any(glob.glob(pattern) for pattern in GPU_FILES)


def _without_cpu_build(line: str) -> str:
    """Return torch's line so that pip does not take the build for CPUs, which it counts as the newer one."""
    return f"{line},!={line.partition('==')[2]}+cpu" if _name(line) == "torch" else line


def _name(line: str) -> str:
    return re.split(r"[=<>;\s\[#]", line, maxsplit=1)[0].lower()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
