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
    environment, install = workspace.environment, workspace.install
    lines = [
        _fixed("ZS_SEG_WORKSPACE", workspace.name),
        _fixed("VIRTUAL_ENV", environment),
        _fixed("ROS_LOG_DIR", workspace.folder / "ros_log"),
        _prepended("PATH", [install / "lib" / "zs_seg_ros", environment / "bin"]),
    ]
    if workspace.sourced:
        lines += [
            _prepended("PYTHONPATH", _python_folders(workspace)),
            _prepended("AMENT_PREFIX_PATH", [install]),
            _prepended("CMAKE_PREFIX_PATH", [install]),
            _prepended("LD_LIBRARY_PATH", [install / "lib"]),
        ]
    else:
        libraries = [
            install / "lib",
            environment / "lib",
            *sorted(environment.glob("lib/python*/site-packages/ros_*.libs")),
        ]
        lines += [
            _fixed("ROS_DISTRO", workspace.distro),
            _fixed("ROS_VERSION", "2"),
            _fixed("ROS_PYTHON_VERSION", "3"),
            _fixed("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "1"),
            _fixed("PYTHONPATH", _python_folders(workspace)[0]),
            _fixed("AMENT_PREFIX_PATH", f"{install}:{environment}"),
            _fixed("CMAKE_PREFIX_PATH", f"{install}:{environment}"),
            _prepended("LD_LIBRARY_PATH", libraries),
        ]
    return lines


def _python_folders(workspace: Workspace) -> list[Path]:
    """Where ament installs Python packages: Debian's own Python has its own folder for it."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folders = [workspace.install / "lib" / version / "site-packages"]
    if workspace.sourced:
        folders.append(workspace.install / "local/lib" / version / "dist-packages")
    return folders


def _fixed(name: str, value: object) -> str:
    return f"export {name}={shlex.quote(str(value))}"


def _prepended(name: str, folders: list[Path]) -> str:
    joined = shlex.quote(":".join(map(str, folders)))
    return f'export {name}={joined}"${{{name}:+:${{{name}}}}}"'
