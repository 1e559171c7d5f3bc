# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Writes `setup.sh`, which exports the variables of the environment and the installed package.

colcon's own setup files do not support the wheels: those set LD_LIBRARY_PATH by
starting every python a second time, in random order, behind a guard variable that children inherit.
Here everything is exported once, in a fixed order.
"""

import shlex
import sys
from pathlib import Path

from .choice import Workspace


def write_setup_script(workspace: Workspace) -> None:
    lines = ["# Written by scripts/prepare.py. Source it in bash, or use scripts/run.sh."]
    lines += _exports(workspace)
    text = "\n".join(lines) + "\n"
    if not workspace.setup_script.is_file() or workspace.setup_script.read_text() != text:
        workspace.setup_script.write_text(text)


def _exports(workspace: Workspace) -> list[str]:
    environment, installs = workspace.environment, _installs(workspace)
    libraries = [install / "lib" for install in installs]
    lines = [
        _fixed("ZS_SEG_WORKSPACE", workspace.name),
        _fixed("VIRTUAL_ENV", environment),
        # Where the executables would look for one of `install_dependencies`: they stay in this one.
        _fixed("ZS_SEG_ENVIRONMENT", environment),
        _fixed("ROS_LOG_DIR", workspace.folder / "ros_log"),
        _prepended("PATH", [workspace.install / "lib" / "zs_seg_ros", environment / "bin"]),
    ]
    if workspace.sourced:
        lines += [
            _prepended("PYTHONPATH", _python_folders(workspace)),
            _prepended("AMENT_PREFIX_PATH", installs),
            _prepended("CMAKE_PREFIX_PATH", installs),
            _prepended("LD_LIBRARY_PATH", libraries),
        ]
    else:
        libraries += [
            environment / "lib",
            *sorted(environment.glob("lib/python*/site-packages/ros_*.libs")),
        ]
        prefixes = ":".join(map(str, [*installs, environment]))
        lines += [
            _fixed("ROS_DISTRO", workspace.distro),
            _fixed("ROS_VERSION", "2"),
            _fixed("ROS_PYTHON_VERSION", "3"),
            _fixed("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "1"),
            _fixed("PYTHONPATH", ":".join(map(str, _python_folders(workspace)))),
            _fixed("AMENT_PREFIX_PATH", prefixes),
            _fixed("CMAKE_PREFIX_PATH", prefixes),
            _prepended("LD_LIBRARY_PATH", libraries),
        ]
    return lines


def _python_folders(workspace: Workspace) -> list[Path]:
    """Where ament installs Python packages: Debian's own Python has its own folder for it."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folders = [f"lib/{version}/site-packages"]
    if workspace.sourced:
        folders.append(f"local/lib/{version}/dist-packages")
    return [install / folder for install in _installs(workspace) for folder in folders]


def _installs(workspace: Workspace) -> list[Path]:
    """The ament prefixes of what is built: the package and, where they are needed, the stand-ins."""
    return [workspace.install, *([workspace.stand_ins_install] if workspace.stand_ins else [])]


def _fixed(name: str, value: object) -> str:
    return f"export {name}={shlex.quote(str(value))}"


def _prepended(name: str, folders: list[Path]) -> str:
    joined = shlex.quote(":".join(map(str, folders)))
    return f'export {name}={joined}"${{{name}:+:${{{name}}}}}"'
