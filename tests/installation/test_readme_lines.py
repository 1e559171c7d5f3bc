# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""README's lines for a robot, word for word, in a shell that has only what a robot has.

rosdep, colcon and ros2 are not on PyPI: stand-ins note their arguments, and `ros2 run` starts the installed executable.
The package is already built; the packages are empty wheels in a folder, and the hub of models is on this machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

pytest.importorskip("ament_index_python")

from ament_index_python.packages import get_package_prefix
from local_hub import Repository, local_hub

sys.path.insert(0, str(Path(__file__).parent))

from test_install_dependencies import PINS, VERSION, write_wheel

ROOT = Path(__file__).parents[2]
PREFIX = Path(get_package_prefix("zs_seg_ros"))
MODEL = "CIDAS/clipseg-rd64-refined"
NOTE = '#!/bin/bash\necho "$(basename "$0")" "$@" >> "$NOTES"\n'
ROS2 = f"""{NOTE}
case "$1" in
run) exec "{PREFIX}/lib/$2/$3" "${{@:4}}" ;;
launch) [ -f "{PREFIX}/share/$2/launch/$3" ] ;;
esac
"""


def lines_of(page: str, heading: str) -> str:
    """Return the first block of commands below a heading."""
    text = (ROOT / page).read_text(encoding="utf-8").partition(f"\n{heading}\n")[2]
    return text.partition("\n```\n")[2].partition("\n```\n")[0]


@pytest.mark.parametrize(
    ("page", "heading"), [("README.md", "## On a robot"), ("docs/first_robot.md", "## 1. Build")]
)
def test_the_lines_work_one_after_the_other(page: str, heading: str, tmp_path: Path) -> None:
    lines = lines_of(page, heading)
    assert "install_dependencies" in lines and f"zs-seg fetch {MODEL}" in lines
    programs, wheels = tmp_path / "bin", tmp_path / "wheels"
    programs.mkdir()
    wheels.mkdir()
    for name, text in (("rosdep", NOTE), ("colcon", NOTE), ("ros2", ROS2)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    for name, _, version in (pin.partition("==") for pin in PINS):
        write_wheel(wheels, name, version, {f"{name.replace('-', '_')}.py": ""})
    (tmp_path / "install").symlink_to(PREFIX)
    files = {"config.json": b"{}", "model.safetensors": b"weights"}
    with local_hub({MODEL: Repository({"main": files})}) as hub:
        result = subprocess.run(
            ["bash", "-e", "-c", lines],
            cwd=tmp_path,
            env={
                "HOME": str(tmp_path),
                "PATH": f"{programs}:{Path(sys.executable).parent}:{os.defpath}",
                # huggingface_hub, which no wheel here has
                "PYTHONPATH": sysconfig.get_path("purelib"),
                "NOTES": str(tmp_path / "notes"),
                "HF_ENDPOINT": hub.address,
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(wheels),
                "PIP_CONFIG_FILE": os.devnull,
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 0, result.stdout + result.stderr
    notes = (tmp_path / "notes").read_text().splitlines()
    assert notes[:4] == [
        "rosdep update",
        "rosdep install --from-paths src --ignore-src -y",
        "colcon build",
        "ros2 run zs_seg_ros install_dependencies",
    ]
    assert "Installed in" in result.stdout
    environment = tmp_path / ".local/share/zs_seg_ros" / VERSION
    assert (environment / "zs_seg_ros_environment").is_file()
    assert any("model.safetensors" in request for request in hub.requests)
