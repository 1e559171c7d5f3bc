# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Reading and writing of files at paths that users give, without damage where a path is wrong.

Only regular files are read and replaced. A folder, FIFO, socket or device is refused by its kind before it is opened:
opening can hang, and can have effects. Symbolic links are followed; a link that leads nowhere is refused.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from zs_seg_ros.errors import FileError
from zs_seg_ros.shown import shown

IsOurs = Callable[[Path], bool]
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO (named pipe)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}
_PATH_LIMIT = 300
_READ_BYTES = 1 << 20
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def user_path(path: str | Path) -> Path:
    """Return a path as users type it, with a leading `~` replaced. Raises FileError where that is impossible."""
    if "\0" in str(path):
        raise FileError(f"{_name(path)} has a NUL character; give the path without it")
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise FileError(
            f"{_name(path)} has a character that no path can have; give the path without it"
        ) from error
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise FileError(
            f"{_name(path)} is in the home folder of a user that this machine does not have; give the whole path"
        ) from error


def open_regular_file(path: str | Path) -> BinaryIO:
    """Open a regular file for reading; a file of another kind is refused before it is opened.

    Raises FileNotFoundError when there is none, and FileError for another kind, a symbolic link that leads nowhere,
    and a file that may not or cannot be read.
    """
    file = user_path(path)
    try:
        _require_regular(file, file.stat())
        # The path may lead to another file by now: check the opened file too, and open without blocking.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        _refuse_dangling(file)
        raise
    except OSError as error:
        raise FileError(f"{_name(file)} cannot be read: {_reason(error)}") from error
    try:
        _require_regular(file, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_regular_file(path: str | Path, limit: int) -> bytes:
    """Return the content of a regular file of at most `limit` bytes.

    A larger file is refused by its size and not read. Raises FileNotFoundError and FileError as open_regular_file.
    """
    with open_regular_file(path) as stream:
        blocks: list[bytes] = []
        size = os.fstat(stream.fileno()).st_size
        try:
            while size <= limit and (block := stream.read(_READ_BYTES)):
                blocks.append(block)
                size = sum(map(len, blocks))  # files of /proc have content, but no size
        except OSError as error:
            raise FileError(f"{_name(path)} cannot be read: {_reason(error)}") from error
    if size > limit:
        raise FileError(
            f"{_name(path)} has {size} bytes or more; a file of this kind has at most {limit}"
        )
    return b"".join(blocks)


def any_file(_: Path) -> bool:
    """Return true: any regular file may be replaced by an output that the user names, such as `-o overlay.png`."""
    return True


class NewFile:
    """A context manager that writes a new file, or replaces an existing one, atomically.

    The content goes to a temporary file in the same folder, which `finish` moves to the path. An
    existing file is replaced only if it is regular and writable and `is_ours` returns true for it; its permissions are
    kept. A symbolic link is kept, and its target is replaced.
    """

    def __init__(self, path: str | Path, is_ours: IsOurs) -> None:
        """Create the temporary file. Raises FileError when the path may not be written or replaced."""
        self._path, self._is_ours = path, is_ours
        target, replaced = self._checked_target()
        self._temporary = target.with_name(f".zs_seg_{secrets.token_hex(8)}.new")
        try:
            self.stream: BinaryIO = self._temporary.open("xb")
        except OSError as error:
            raise self._unwritable(error) from error
        if replaced is not None:
            with contextlib.suppress(OSError):  # file systems without owners
                os.fchown(self.stream.fileno(), replaced.st_uid, replaced.st_gid)
                os.fchmod(self.stream.fileno(), stat.S_IMODE(replaced.st_mode) & 0o777)

    def __enter__(self) -> NewFile:
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(
            OSError
        ):  # a full disk has been reported, and closing writes what is left
            self.stream.close()
        self._temporary.unlink(missing_ok=True)

    def finish(self) -> None:
        """Move the file to its path, durably. Raises FileError; an existing file is then unchanged."""
        try:
            self.stream.flush()
            os.fsync(self.stream.fileno())
            self.stream.close()
            target, replaced = (
                self._checked_target()
            )  # the path may have been created or replaced meanwhile
            if replaced is None:
                self._move_to_free_path(target)
            else:
                self._temporary.replace(target)
            _make_durable(target.parent)
        except OSError as error:
            raise self._unwritable(error) from error

    def _move_to_free_path(self, target: Path) -> None:
        """Move the file to a free path by a hard link, which, unlike a rename, fails if a file exists there by now."""
        try:
            os.link(self._temporary, target)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            self._temporary.replace(target)

    def _checked_target(self) -> tuple[Path, os.stat_result | None]:
        file = user_path(self._path)
        try:
            target = file.resolve()
            status = target.lstat()
            _require_regular(file, status)
            if not os.access(target, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except FileNotFoundError:
            _refuse_dangling(file)
            return target, None
        except (OSError, RuntimeError) as error:  # RuntimeError: symbolic links in a circle
            raise self._unwritable(error) from error
        if not self._is_ours(target):
            raise FileError(
                f"{_name(file)} was not written by this program and is left as it is; name another file"
            )
        return target, status

    def _unwritable(self, error: Exception) -> FileError:
        return FileError(f"{_name(self._path)} cannot be written: {_reason(error)}")


def write_atomically(path: str | Path, data: bytes, is_ours: IsOurs) -> None:
    """Write a file as a whole or not at all; see NewFile for what it may replace. Raises FileError."""
    with NewFile(path, is_ours) as new:
        try:
            new.stream.write(data)
        except OSError as error:
            raise FileError(f"{_name(path)} cannot be written: {_reason(error)}") from error
        new.finish()


def remove_if_ours(path: Path, is_ours: IsOurs) -> None:
    """Remove a regular file if it is ours; another file stays, and so does one that may not be removed."""
    if path.is_file() and not path.is_symlink() and is_ours(path):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def write_output(path: str | Path, data: bytes) -> None:
    """Write a file that the user named for output: a regular file is replaced, nothing else is. Raises FileError."""
    write_atomically(path, data, any_file)


def open_in_place(path: str | Path) -> BinaryIO:
    """Open a file for reading and writing in place, for locks and logs; create it if it does not exist.

    The content is not truncated. Symbolic links are not followed, since other users may write to the folder.
    Raises FileError for anything but a regular file, and where it cannot be written.
    """
    file = user_path(path)
    try:
        with contextlib.suppress(FileNotFoundError):
            _require_regular(file, file.lstat())
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(file, flags, 0o666)
    except OSError as error:
        raise FileError(f"{_name(file)} cannot be written: {_reason(error)}") from error
    try:
        _require_regular(file, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "r+b")


def _require_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a special file")
        raise FileError(f"{_name(path)} is {kind} and is left as it is; name a regular file")


def _refuse_dangling(file: Path) -> None:
    if file.is_symlink():
        target = _name(file.readlink())
        raise FileError(
            f"{_name(file)} is a symbolic link to {target}, which does not exist; mend or remove the link"
        )


def _make_durable(folder: Path) -> None:
    """Flush the entries of a folder to the disk, if the file system supports it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _name(path: str | Path) -> str:
    return shown(str(path), _PATH_LIMIT)


def _reason(error: Exception) -> str:
    """Return the reason of an error without the path, for a sentence that names the path itself."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return shown(text, _PATH_LIMIT)
