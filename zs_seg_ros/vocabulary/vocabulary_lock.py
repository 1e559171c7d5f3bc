# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The lock of a vocabulary file: one node at a time writes it."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from zs_seg_ros.errors import FileError
from zs_seg_ros.files import open_in_place, user_path
from zs_seg_ros.shown import shown

_HEADING = b"# The lock of zs_seg_ros on the vocabulary file beside it: "
_MOST_BYTES = 1000


class VocabularyLock:
    """Lock file `NAME.lock` beside the vocabulary file NAME, held until `release` or the end of this process.

    The file names the holder, or the last holder when the lock is free. It is never removed, because two processes
    could hold a lock file that is removed and created anew.
    """

    def __init__(self, path: str | Path, holder: str) -> None:
        """Acquire the lock for `holder`, the name of a node, without waiting.

        Raises FileNotFoundError when the folder does not exist, and FileError when another node holds the lock (with
        its name and process), when its path exists and is no lock of this package, and when it cannot be written.
        """
        try:
            file = user_path(path).resolve()
        except RuntimeError as error:
            raise FileError(
                f"{shown(str(path), 300)} is a symbolic link that leads in a circle"
            ) from error
        self._file = file.with_name(f"{file.name}.lock")
        if not os.path.lexists(self._file.parent):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        try:
            self._stream = open_in_place(self._file)
        except FileError as error:
            raise FileError(f"{shown(str(file), 300)} cannot be locked: {error}") from error
        try:
            self._take(file, holder)
        except OSError as error:
            self._stream.close()
            raise FileError(f"{self._name} cannot be locked: {error.strerror}") from error
        except BaseException:
            self._stream.close()
            raise

    def release(self) -> None:
        """Release the lock."""
        self._stream.close()

    @property
    def _name(self) -> str:
        return shown(str(self._file), 300)

    def _take(self, file: Path, holder: str) -> None:
        descriptor = self._stream.fileno()
        text = os.pread(descriptor, _MOST_BYTES, 0)
        if text and not text.startswith(_HEADING):
            raise FileError(
                f"{self._name} is where the vocabulary's lock goes, but it is something else and is left as it is; "
                "move it"
            )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            other = shown(text[len(_HEADING) :].strip() or b"another process", 300)
            raise FileError(
                f"{shown(str(file), 300)} is in use by {other}; end that one, or give this node a file of its own"
            ) from error
        os.ftruncate(descriptor, 0)
        held_by = f"{shown(holder, 300)} (process {os.getpid()})\n"
        os.pwrite(descriptor, _HEADING + held_by.encode(), 0)
