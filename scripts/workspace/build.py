# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`colcon build` of the package and of the stand-ins for packages without wheels, when their files have changed."""

import hashlib
import shutil
import subprocess
from pathlib import Path

from .choice import ROOT, Workspace, WorkspaceError
from .environment import clean_variables

SOURCES = (
    "CMakeLists.txt",
    "package.xml",
    "config",
    "executables",
    "include",
    "launch",
    "models",
    "msg",
    "recordings",
    "requirements",
    "src",
    "srv",
    "zs_seg_ros",
)


def build_stand_ins(workspace: Workspace, environment: str) -> None:
    """Build and install the stand-ins that are needed here, unless the installed ones are up to date."""
    folders = workspace.stand_ins
    files = _files_in(folders)
    requested = _fingerprint(files, environment)
    stamp = workspace.folder / "stand_ins.stamp"
    install = workspace.stand_ins_install
    if not folders or (stamp.is_file() and stamp.read_text() == requested and install.is_dir()):
        return
    stamp.unlink(missing_ok=True)
    shutil.rmtree(install, ignore_errors=True)
    print(f"Building stand-ins for {' and '.join(f.name for f in folders)}.", flush=True)
    _colcon_build(workspace, folders, install)
    stamp.write_text(requested)


def build_package(workspace: Workspace, environment: str) -> None:
    """Build and install the package unless the installed one is up to date."""
    files = _files_in([ROOT / name for name in SOURCES])
    requested = _fingerprint(files, environment)
    names = "\n".join(str(path.relative_to(ROOT)) for path in files)
    stamp, listing = workspace.folder / "build.stamp", workspace.folder / "build.files"
    if stamp.is_file() and stamp.read_text() == requested and workspace.install.is_dir():
        return
    stamp.unlink(missing_ok=True)
    installed = listing.read_text().splitlines() if listing.is_file() else []
    if set(installed) - set(names.splitlines()):
        # cmake only adds: without this a removed module would stay importable.
        shutil.rmtree(workspace.install, ignore_errors=True)
    print("Building the package.", flush=True)
    _colcon_build(workspace, [_link_to_sources(workspace)], workspace.install)
    listing.write_text(names)
    stamp.write_text(requested)


def _files_in(paths: list[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        candidates = [path] if path.is_file() else path.rglob("*")
        files += [f for f in candidates if f.is_file() and "__pycache__" not in f.parts]
    return sorted(files)


def _fingerprint(files: list[Path], environment: str) -> str:
    """Return a digest of names, sizes and times: recordings and weights are too large to read each time."""
    digest = hashlib.sha256(environment.encode())
    for path in files:
        status = path.stat()
        digest.update(
            f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_mode}\n".encode()
        )
    return digest.hexdigest()


def _link_to_sources(workspace: Workspace) -> Path:
    """Another name for the repository's folder, for colcon.

    CMake refuses to export a header folder that lies inside the source folder, and numpy's does:
    the environment is inside the repository. CMake compares names, so another name is enough.
    """
    link = workspace.folder / "source"
    if not link.is_symlink():
        link.symlink_to(ROOT, target_is_directory=True)
    return link


def _colcon_build(workspace: Workspace, packages: list[Path], install: Path) -> None:
    """Build the packages and install all of them in the ament prefix `install`."""
    # Warnings of colcon itself are about the wheels' prefix, which has no setup files of its own.
    colcon = ["colcon", "--log-level", "error", "--log-base", str(workspace.folder / "log")]
    colcon += ["build", "--merge-install"]
    colcon += ["--paths", *map(str, packages)]
    colcon += ["--build-base", str(workspace.folder / "build")]
    colcon += ["--install-base", str(install)]
    colcon += ["--event-handlers", "console_cohesion-", "console_start_end-"]
    colcon += ["--cmake-args", "-DBUILD_TESTING=OFF", "-DCMAKE_BUILD_TYPE=Release"]
    colcon += ["-DPython3_FIND_VIRTUALENV=ONLY", f"-DPython3_EXECUTABLE={workspace.python}"]
    # setup.sh puts the environment, and the sourced ROS 2 if there is one, in front.
    command = ["bash", "-c", 'set -eu; . "$0"; exec "$@"', str(workspace.setup_script), *colcon]
    result = subprocess.run(command, env=clean_variables(workspace), check=False)
    if result.returncode:
        raise WorkspaceError(
            f"colcon could not build {' and '.join(p.name for p in packages)}: the reason is above, and in "
            f"{(workspace.folder / 'log' / 'latest_build').relative_to(ROOT)}."
        )
