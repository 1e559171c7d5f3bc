# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Ends processes that take part in DDS by SIGKILL, without leaving their shared memory on the machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
_LOCK = "_el"
"""Ends the name of the file that the process which made a segment of Fast DDS keeps open and locked."""


def segments_of(pid: int) -> set[Path]:
    """Return the files of the segments that a process made, not those that it maps of others.

    Files of ports are left out: their names come again with the next process, which takes them over.
    """
    paths = set()
    for descriptor in _descriptors(pid):
        try:
            path = Path(os.readlink(descriptor))
        except OSError:
            continue  # closed meanwhile
        name = path.name
        if path.parent != SHARED_MEMORY or not name.endswith(_LOCK) or "_port" in name:
            continue
        if name.startswith(("fastrtps_", "fastdds_")):
            paths |= {path, path.with_name(name.removesuffix(_LOCK))}
    return paths


def _descriptors(pid: int) -> list[Path]:
    try:
        return list(Path("/proc", str(pid), "fd").iterdir())
    except OSError:
        return []  # it has ended


def kill(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """Kill a process if it still runs, wait for its end, and remove the shared memory that it can no longer remove."""
    left = segments_of(process.pid) if process.poll() is None else set()
    process.kill()
    process.wait()
    remove(left)


def remove(segments: set[Path]) -> None:
    """Remove the segments of a process that has been killed."""
    for path in segments:
        path.unlink(missing_ok=True)
