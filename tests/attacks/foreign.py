# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Files that are not the package's, in the run's own temporary folder; each must stay as it is."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from pathlib import Path

_HASHED_BYTES = 1 << 20
GIANT_BYTES = 200 << 20


def make_foreign(folder: Path) -> dict[str, Path]:
    """Create one of each kind; return them by the name of the kind."""
    folder.mkdir()
    places = {
        kind: folder / kind
        for kind in (
            "folder", "full_folder", "fifo", "socket", "zero", "null", "dangling", "circle", "giant",
            "text", "json", "binary", "empty_list", "unreadable", "link_to_folder", "link_to_text",
        )
    }  # fmt: skip
    places["folder"].mkdir()
    (places["full_folder"] / "deep").mkdir(parents=True)
    (places["full_folder"] / "deep" / "mine.txt").write_text("kept")
    os.mkfifo(places["fifo"])
    with socket.socket(socket.AF_UNIX) as listener:
        # Paths of sockets are short: bind through the folder's descriptor.
        descriptor = os.open(folder, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{descriptor}/socket")
        os.close(descriptor)
    places["zero"].symlink_to("/dev/zero")
    places["null"].symlink_to(os.devnull)
    places["dangling"].symlink_to("nowhere")
    places["circle"].symlink_to("circle")
    with places["giant"].open("wb") as stream:
        stream.truncate(GIANT_BYTES)
    places["text"].write_text("my thesis, chapter 1: it must not be lost\n")
    places["json"].write_text('{"mine": true}')
    places["binary"].write_bytes(bytes(range(256)) * 20)
    places["empty_list"].write_text("[]")
    places["unreadable"].write_text("secret: yes\n")
    places["unreadable"].chmod(0)
    places["link_to_folder"].symlink_to("full_folder")
    places["link_to_text"].symlink_to("text")
    return places


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return what identifies each file: inode, mode, size, time of change, target and content."""
    return {str(p.relative_to(folder)): _identity(p) for p in sorted(folder.rglob("*"))}


def differences(
    before: dict[str, tuple[object, ...]], after: dict[str, tuple[object, ...]]
) -> list[str]:
    """Return the names of files that were changed, removed or added."""
    return sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))


def _identity(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    content: object = None
    if path.is_symlink():
        content = os.readlink(path)
    elif (
        stat.S_ISREG(status.st_mode)
        and status.st_size <= _HASHED_BYTES
        # Root reads every file; other users cannot read the one without permissions, whose time must do.
        and os.access(path, os.R_OK)
    ):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return (status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, content)
