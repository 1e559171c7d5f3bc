# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A signal at any moment of the start, while libraries are imported too, ends every executable as it does later.

The moments are read from /proc: the first lines of the executable have run, or a further library is mapped.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from killed_processes import kill
from planner import TIMEOUT_S, wait_until

from zs_seg_ros.bags.bag import shipped_bag

Condition = Callable[[Path], bool]


def handles_sigterm(process: Path) -> bool:
    """Python itself handles SIGINT from its start on, and SIGTERM never: this is the executable's first statement."""
    [mask] = [
        line.split()[1]
        for line in (process / "status").read_text().splitlines()
        if line.startswith("SigCgt:")
    ]
    return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)


def maps(name: str) -> Condition:
    return lambda process: name in (process / "maps").read_text()


FIRST_LINES, NUMPY, RCLPY, OPENCV = (
    "first lines",
    "_multiarray_umath",
    "_rclpy_pybind11",
    "cv2.abi3",
)
PARTICIPANT, TORCH = "/dev/shm/fast", "libtorch_cpu"  # fastrtps_, and fastdds_ from Fast DDS 3 on
NODES = {
    "segmentation_node": (FIRST_LINES, NUMPY, RCLPY, OPENCV, PARTICIPANT, TORCH),
    "bag_player": (FIRST_LINES, NUMPY, RCLPY, PARTICIPANT),
    "tabletop_camera": (FIRST_LINES, NUMPY, RCLPY, PARTICIPANT),
}
ARGUMENTS = {
    "bag_player": (str(shipped_bag()), "--start-paused"),
    "segmentation_node": ("--ros-args", "-p", "model:=tabletop", "-p", "classes:=[red]"),
    "replay_test": ("nowhere", "--golden", "nothing", "--update"),
    "zs-seg": ("segment", "endless.png", "--classes", "red"),
}


def end_of(
    executable: str, moment: str, number: signal.Signals, folder: Path
) -> tuple[int, str, bool]:
    """Exit code and output of an executable that gets a signal at a moment; whether it was still running then."""
    condition = handles_sigterm if moment == FIRST_LINES else maps(moment)
    process = subprocess.Popen(
        [executable, *ARGUMENTS.get(executable, ())],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        # pytest may be a background job of a shell, which ignores SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        wait_until(
            lambda: process.poll() is not None or condition(Path("/proc", str(process.pid))),
            f"{moment} of {executable}",
        )
        in_time = process.poll() is None
        process.send_signal(number)
        output, _ = process.communicate(timeout=TIMEOUT_S)
    finally:
        kill(process)
    return process.returncode, output, in_time


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
@pytest.mark.parametrize(
    ("executable", "moment"), [(name, moment) for name in NODES for moment in NODES[name]]
)
def test_a_node_ends_with_exit_code_0(
    executable: str, moment: str, number: signal.Signals, tmp_path: Path
) -> None:
    code, output, in_time = end_of(executable, moment, number, tmp_path)
    assert in_time, output
    assert code == 0, output
    assert "Traceback" not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
@pytest.mark.parametrize("moment", [FIRST_LINES, NUMPY])
def test_replay_test_ends_with_exit_code_130(
    moment: str, number: signal.Signals, tmp_path: Path
) -> None:
    code, output, in_time = end_of("replay_test", moment, number, tmp_path)
    assert in_time, output
    assert code == 130, output
    assert "Traceback" not in output


@pytest.mark.parametrize("moment", [NUMPY, OPENCV, TORCH])
def test_zs_seg_ends_with_exit_code_130_on_ctrl_c(moment: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "endless.png")  # without a writer: reading it does not end
    code, output, in_time = end_of("zs-seg", moment, signal.SIGINT, tmp_path)
    assert in_time, output
    assert code == 130, output
    assert "Traceback" not in output
