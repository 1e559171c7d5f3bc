# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What `zs-seg doctor` says of the shared memory of Fast DDS."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest
from machines import machine

from zs_seg_ros.doctor.check import Check, Status
from zs_seg_ros.doctor.network import check_network
from zs_seg_ros.doctor.shared_memory import SharedMemory, read_shared_memory

GB, MB = 1_000_000_000, 1_000_000
CLEAN = "fastdds shm clean"


def check_of(folder: Path, memory: SharedMemory, middleware: str = "rmw_fastrtps_cpp") -> Check:
    checks = check_network(machine(folder, shared_memory=lambda: memory), middleware)
    [check] = [check for check in checks if check.name == "shared memory"]
    return check


def segment(folder: Path, name: str, size: int) -> Path:
    """Write the two files of a segment; return the one that its process keeps locked."""
    (folder / name).write_bytes(b"\1" * size)
    lock = folder / f"{name}_el"
    lock.touch()
    return lock


def test_segments_are_left_when_no_process_has_them_locked(tmp_path: Path) -> None:
    used = segment(tmp_path, "fastrtps_0123456789abcdef", 65_536)
    segment(tmp_path, "fastdds_fedcba9876543210", 131_072)
    segment(tmp_path, "fastrtps_port7411", 8_192)
    segment(tmp_path, "another_program", 16_384)
    with used.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        memory = read_shared_memory(tmp_path)
    assert (memory.left_files, memory.left) == (2, 139_264)
    assert 0 < memory.free <= memory.total
    assert read_shared_memory(tmp_path).left_files == 3


def test_a_link_or_half_a_segment_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "fastrtps_0000000000000000_el").symlink_to(segment(tmp_path, "elsewhere", 4096))
    (tmp_path / "fastrtps_1111111111111111_el").touch()
    assert read_shared_memory(tmp_path).left_files == 0


@pytest.mark.parametrize(
    ("memory", "status", "remedy"),
    [
        (SharedMemory(8 * GB, 7 * GB, 0, 0), Status.OK, ""),
        (SharedMemory(8 * GB, 7 * GB, 900 * MB, 12), Status.OK, ""),
        (SharedMemory(24 * GB, 8 * GB, 16 * GB, 231), Status.WARNING, CLEAN),
        (SharedMemory(16 * GB, 20 * MB, 15 * GB, 220), Status.ERROR, CLEAN),
        (SharedMemory(67 * MB, 67 * MB, 0, 0), Status.ERROR, "--ipc=host"),
        (SharedMemory(67 * MB, 1 * MB, 1 * MB, 2), Status.ERROR, "--ipc=host"),
    ],
    ids=["empty", "a little left", "much left", "full of what is left", "a container", "small"],
)
def test_the_remedy_fits_what_fills_it(
    memory: SharedMemory, status: Status, remedy: str, tmp_path: Path
) -> None:
    check = check_of(tmp_path, memory)
    assert check.status == status
    assert remedy in check.remedy and bool(check.remedy) == bool(remedy)
    assert f"{memory.free / 1e6:.0f} MB of {memory.total / 1e6:.0f} MB are free" in check.text
    left = f"killed processes left {memory.left_files} segments of {memory.left / 1e6:.0f} MB"
    assert (left in check.text) == bool(memory.left_files)


def test_without_the_folder_it_says_so(tmp_path: Path) -> None:
    def missing() -> SharedMemory:
        return read_shared_memory(tmp_path / "missing")

    checks = {
        check.name: check for check in check_network(machine(tmp_path, shared_memory=missing))
    }
    assert checks["shared memory"].status == Status.WARNING
    assert "cannot be read" in checks["shared memory"].text


@pytest.mark.parametrize("middleware", ["rmw_cyclonedds_cpp", "rmw_zenoh_cpp"])
def test_other_middleware_has_no_segments(middleware: str, tmp_path: Path) -> None:
    names = [check.name for check in check_network(machine(tmp_path), middleware)]
    assert "shared memory" not in names
