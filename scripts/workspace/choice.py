# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Chooses the ROS 2 distribution, and the folder of its environment and build."""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WHEEL_DISTROS = ("jazzy", "kilted")
STAND_INS = ROOT / "tests" / "stand_in_packages"
SOURCED_SUFFIX = "-sourced"


class WorkspaceError(Exception):
    """Raised when the workspace cannot be prepared; the message is one sentence that says what to do."""


def has_ros_package(name: str) -> bool:
    """Whether a prefix of the sourced ROS 2 holds the package; those of this repository's workspaces do not count."""
    prefixes = map(Path, filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)))
    marker = Path("share/ament_index/resource_index/packages") / name
    return any((p / marker).is_file() for p in prefixes if ROOT / ".work" not in p.parents)


@dataclass(frozen=True)
class Workspace:
    """One choice of ROS 2 and its folder. Nothing in the folder is shared with another choice."""

    distro: str  # jazzy, kilted, humble, ...
    sourced: bool  # True: a ROS 2 that was there before; False: wheels

    @property
    def name(self) -> str:
        return self.distro + SOURCED_SUFFIX if self.sourced else self.distro

    @property
    def folder(self) -> Path:
        return ROOT / ".work" / self.name

    @property
    def environment(self) -> Path:
        return self.folder / "env"

    @property
    def python(self) -> Path:
        return self.environment / "bin" / "python"

    @property
    def install(self) -> Path:
        """The ament prefix of the built package."""
        return self.folder / "install" / "zs_seg_ros"

    @property
    def stand_ins(self) -> list[Path]:
        """The folders of the packages that are built for want of wheels: those that the sourced ROS 2 lacks."""
        folders = sorted(path.parent for path in STAND_INS.glob("*/package.xml"))
        return [f for f in folders if not (self.sourced and has_ros_package(f.name))]

    @property
    def stand_ins_install(self) -> Path:
        """The ament prefix of the stand-ins."""
        return self.folder / "stand_ins"

    @property
    def setup_script(self) -> Path:
        return self.folder / "setup.sh"


def choose(wheels: str) -> Workspace:
    """The sourced ROS 2 if there is one, otherwise the wheels of the distribution `wheels`.

    A shell inside one of the wheel workspaces also has ROS_DISTRO set; ZS_SEG_WORKSPACE
    identifies it. scripts/run.sh chooses in the same way.
    """
    inside = os.environ.get("ZS_SEG_WORKSPACE", "")
    distro = os.environ.get("ROS_DISTRO", "")
    in_wheels = bool(inside) and not inside.endswith(SOURCED_SUFFIX)
    if distro and os.environ.get("AMENT_PREFIX_PATH") and not in_wheels:
        return Workspace(distro, sourced=True)
    if wheels not in WHEEL_DISTROS:
        raise WorkspaceError(
            f"There are no ROS 2 wheels for {wheels!r}: choose ROS={' or ROS='.join(WHEEL_DISTROS)}, "
            f"or install ROS 2 {wheels} and source it."
        )
    return Workspace(wheels, sourced=False)
