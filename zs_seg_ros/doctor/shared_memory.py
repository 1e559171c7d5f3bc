# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The shared memory through which Fast DDS sends messages between processes of one machine."""

from __future__ import annotations

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from zs_seg_ros.doctor.check import Check, error, ok, warning

SEGMENT_BYTES = 67_108_864
"""What each process takes with config/fastdds_large_images.xml."""
LEFT_BYTES = 1_000_000_000
"""Of segments without a process: with more than this the machine's memory is worth freeing."""
_LOCK = "_el"
"""Ends the name of the file that the process which made a segment keeps locked."""
_SEGMENTS = ("fastrtps_", "fastdds_")
"""Begin the names of segments: before Fast DDS 3, which came with Kilted, and since."""
_UNREADABLE = "the shared memory in /dev/shm cannot be read"


@dataclass(frozen=True)
class SharedMemory:
    """The state of /dev/shm. left: bytes of Fast DDS segments whose processes have ended; left_files: their number."""

    total: int
    free: int
    left: int
    left_files: int


def read_shared_memory(folder: Path = Path("/dev/shm")) -> SharedMemory:
    """Read the space of the folder, and the segments without a process. Raises OSError without the folder."""
    usage = shutil.disk_usage(folder)
    sizes = []
    for path in (p for p in folder.glob(f"*{_LOCK}") if p.name.startswith(_SEGMENTS)):
        segment = path.with_name(path.name.removesuffix(_LOCK))
        try:
            if _is_unlocked(path):
                sizes.append(segment.stat().st_blocks * 512)
        except OSError:
            continue  # it went meanwhile, or another user's cannot be read
    return SharedMemory(usage.total, usage.free, sum(sizes), len(sizes))


def _is_unlocked(path: Path) -> bool:
    """Whether the process that made the segment has ended, in this container or in another."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def shared_memory_check(memory: SharedMemory | None) -> Check:
    """Check the space for two processes with the profile, and what killed processes left. None: not readable."""
    name = "shared memory"
    if memory is None:
        remedy = "Mount a tmpfs there: without it Fast DDS sends images by UDP."
        return warning(name, _UNREADABLE, remedy)
    left = ""
    if memory.left_files:
        left = f"; killed processes left {memory.left_files} segments of {_mb(memory.left)}"
    text = f"{_mb(memory.free)} of {_mb(memory.total)} are free in /dev/shm{left}"
    clean = "Run `fastdds shm clean`, which removes only the segments of processes that have ended."
    if memory.free < 2 * SEGMENT_BYTES:
        larger = (
            "Give it more space, a container with `--ipc=host` or `--shm-size=1g`: camera and node need 128 MiB "
            "with the profile for large images."
        )
        return error(name, text, clean if memory.left > SEGMENT_BYTES else larger)
    if memory.left > LEFT_BYTES:
        return warning(name, text, clean)
    return ok(name, text)


def _mb(number: int) -> str:
    return f"{number / 1e6:.0f} MB"
