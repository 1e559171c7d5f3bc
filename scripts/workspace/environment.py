# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Creates the virtual environment, again whenever its requirements change."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from .choice import ROOT, Workspace, WorkspaceError, has_ros_package

sys.path.append(str(ROOT / "executables"))
from zs_seg_download_size import described_size

REQUIREMENTS = ROOT / "requirements"
LARGE_DOWNLOAD = re.compile(r"Downloading (\S+) \((\d{3,}[\d.]* MB|[\d.]+ GB)\)")  # pip's own words


def clean_variables(workspace: Workspace) -> dict[str, str]:
    """The caller's environment variables without those that mislead pip, colcon and make."""
    unwanted = {
        "_ROS_WHEELS_BOOTSTRAP_COMPLETE",  # an inherited guard stops rclpy from being importable
        "MAKEFLAGS",  # an outer make's job server, which the inner make cannot reach
        "MFLAGS",
        "MAKELEVEL",
        "PYTHONHOME",
    }
    if not workspace.sourced:
        unwanted.add("PYTHONPATH")  # pip would count packages of other folders as installed
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def requirement_files(workspace: Workspace) -> list[Path]:
    """What is installed. A sourced ROS 2 brings its own packages, and usually its own cv_bridge."""
    names = ["runtime.txt", "development.txt"]
    if not workspace.sourced:
        names.append(f"{workspace.distro}.txt")
    if not workspace.sourced or not has_ros_package("cv_bridge"):
        names.append("cv_bridge.txt")
    return [REQUIREMENTS / name for name in names]


def fingerprint(workspace: Workspace) -> str:
    """Return a digest that changes whenever the environment has to be created again."""
    digest = hashlib.sha256()
    for part in (sys.version, sys.base_prefix, str(workspace.environment)):
        digest.update(part.encode() + b"\0")
    for path in [*requirement_files(workspace), REQUIREMENTS / "constraints.txt"]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def make_environment(workspace: Workspace) -> str:
    """Create the environment unless it is up to date; return its fingerprint.

    The stamp is written last, so an interrupted installation is detected and repeated.
    """
    requested = fingerprint(workspace)
    stamp = workspace.folder / "environment.stamp"
    if stamp.is_file() and stamp.read_text() == requested and workspace.python.exists():
        return requested
    again = workspace.environment.exists()
    print(
        f"Making the Python environment in {workspace.environment.relative_to(ROOT)}"
        f"{' again: it is incomplete or out of date' if again else ''}.",
        flush=True,
    )
    stamp.unlink(missing_ok=True)
    for folder in ("env", "build", "install", "log", "stand_ins"):
        shutil.rmtree(workspace.folder / folder, ignore_errors=True)
    workspace.folder.mkdir(parents=True, exist_ok=True)
    _make_virtual_environment(workspace)
    _install(workspace)
    if not workspace.sourced:
        _correct_paths_in_cmake_files(workspace)
    stamp.write_text(requested)
    return requested


def _make_virtual_environment(workspace: Workspace) -> None:
    command = [sys.executable, "-m", "venv", str(workspace.environment)]
    if workspace.sourced:
        command.append("--system-site-packages")
    result = subprocess.run(
        command, env=clean_variables(workspace), capture_output=True, text=True, check=False
    )
    if result.returncode:
        said = (result.stderr or result.stdout).strip().splitlines()
        raise WorkspaceError(
            f"`{' '.join(command)}` failed with exit code {result.returncode}"
            f"{': ' + said[-1] if said else ''}: run the same command again once it is cured."
        )


def _install(workspace: Workspace) -> None:
    """One pip command for everything, so that nothing can pull in a numpy that another part excludes."""
    log = workspace.folder / "pip.log"
    packages = ["--constraint", str(REQUIREMENTS / "constraints.txt")]
    for path in requirement_files(workspace):
        packages += ["--requirement", str(path)]
    _print_size(workspace, packages)
    command = [str(workspace.python), "-m", "pip", "install", "--progress-bar", "off", *packages]
    print(
        f"Installing packages: a few minutes the first time (details in {log.relative_to(ROOT)}).",
        flush=True,
    )
    with (
        log.open("w") as log_file,
        subprocess.Popen(
            command,
            env=clean_variables(workspace),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as pip,
    ):
        assert pip.stdout is not None
        collected = 0
        for line in pip.stdout:
            log_file.write(line)
            if line.startswith("Collecting "):
                collected += 1
                if collected % 25 == 0:
                    print(f"  {collected} packages collected", flush=True)
            elif large := LARGE_DOWNLOAD.search(line):
                print(f"  downloading {large[1]} ({large[2]})", flush=True)
            elif line.startswith("Installing collected packages"):
                print(f"  installing {collected} packages", flush=True)
            elif line.startswith("ERROR"):
                print(f"  {line.rstrip()}", flush=True)
    if pip.returncode:
        raise WorkspaceError(
            f"pip could not install the packages: the reason is at the end of {log.relative_to(ROOT)}; "
            "once it is cured, run the same command again."
        )


def _print_size(workspace: Workspace, packages: list[str]) -> None:
    """Print the size of the download, which pip finds out before it installs anything."""
    report = workspace.folder / "pip_report.json"
    command = [str(workspace.python), "-m", "pip", "install", "--dry-run", "--quiet"]
    command += ["--report", str(report), *packages]
    result = subprocess.run(
        command, env=clean_variables(workspace), capture_output=True, check=False
    )
    if result.returncode == 0 and report.is_file():
        print(f"Downloading {described_size(report)}, unless pip has them already.", flush=True)
    report.unlink(missing_ok=True)


def _correct_paths_in_cmake_files(workspace: Workspace) -> None:
    """Replace two folders of the machine that built the wheels by the ones of this environment."""
    python_headers = sysconfig.get_paths()["include"]
    numpy_headers = subprocess.run(
        [str(workspace.python), "-c", "import numpy; print(numpy.get_include())"],
        env=clean_variables(workspace),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    foreign_python = re.compile(r"/opt/python/[^/;\"\s]+/include/python[0-9.]+")
    foreign_numpy = re.compile(r"/opt/python/[^;\"\s]+/site-packages/numpy/_core/include")
    for path in (workspace.environment / "share").rglob("*.cmake"):
        text = path.read_text()
        corrected = foreign_python.sub(python_headers, text)
        corrected = foreign_numpy.sub(numpy_headers, corrected)
        if corrected != text:
            path.write_text(corrected)
