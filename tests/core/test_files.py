# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Files that users name: what is not ours stays as it is, whatever it is."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from zs_seg_ros.errors import FileError
from zs_seg_ros.files import (
    NewFile,
    any_file,
    open_regular_file,
    read_regular_file,
    user_path,
    write_atomically,
    write_output,
)

Maker = Callable[[Path], None]


def folder(path: Path) -> None:
    path.mkdir()
    (path / "mine").write_text("kept")


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))  # the absolute path may be longer than sockets take


def device_link(path: Path) -> None:
    path.symlink_to(os.devnull)


def endless_device_link(path: Path) -> None:
    path.symlink_to("/dev/zero")


def fifo_link(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def circle(path: Path) -> None:
    path.symlink_to(path.name)


WRONG_KINDS: list[Maker] = [
    folder, os.mkfifo, a_socket, device_link, endless_device_link, fifo_link, dangling_link, circle,
]  # fmt: skip


def state(path: Path) -> tuple[object, ...]:
    """What would change if the file were moved, replaced or written."""
    status = path.lstat()
    content = sorted(p.name for p in path.iterdir()) if path.is_dir() else path.is_symlink()
    return status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, content


@pytest.mark.parametrize("make", WRONG_KINDS)
def test_another_kind_of_file_is_neither_read_nor_replaced(
    tmp_path: Path, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "place"
    make(place)
    before, listing = state(place), sorted(os.listdir(tmp_path))
    with pytest.raises(FileError) as refused:
        read_regular_file(place, 1000)
    assert str(place) in str(refused.value) and str(refused.value).count("\n") == 0
    with pytest.raises(FileError, match="place"):
        write_output(place, b"new")
    assert (state(place), sorted(os.listdir(tmp_path))) == (before, listing)


def test_the_sentence_names_the_kind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    for path, kind in (
        (tmp_path, "is a folder and is left as it is; name a regular file"),
        (tmp_path / "pipe", "is a FIFO"),
        (Path(os.devnull), "is a device"),
        (tmp_path / "link", "is a symbolic link to nowhere, which does not exist"),
    ):
        with pytest.raises(FileError, match=kind):
            open_regular_file(path)


def test_a_file_that_is_swapped_for_a_fifo_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    seen = (tmp_path / "file").stat()
    monkeypatch.setattr(Path, "stat", lambda _, **__: seen)
    with pytest.raises(FileError, match="FIFO"):
        open_regular_file(tmp_path / "pipe")


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_regular_file(tmp_path / "nowhere", 10)


def test_content_comes_back_up_to_the_limit_and_not_beyond(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 10)
    assert read_regular_file(tmp_path / "file", 10) == b"x" * 10
    with pytest.raises(FileError, match=r"has 10 bytes or more; .* at most 9"):
        read_regular_file(tmp_path / "file", 9)


def test_a_file_of_gigabytes_is_refused_by_its_size(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(FileError, match="1099511627776 bytes"):
        read_regular_file(tmp_path / "file", 1000)


def test_a_file_without_a_size_is_read_up_to_the_limit() -> None:
    assert read_regular_file("/proc/self/status", 1 << 20).startswith(b"Name:")
    with pytest.raises(FileError, match="at most 10"):
        read_regular_file("/proc/self/status", 10)


@pytest.mark.parametrize("path", ["~no-such-user-here/file", "nul\0in it"])
def test_a_path_that_can_be_none_is_refused(path: str) -> None:
    with pytest.raises(FileError):
        user_path(path)
    with pytest.raises(FileError):
        read_regular_file(path, 10)
    with pytest.raises(FileError):
        write_output(path, b"")


def test_an_error_of_the_disk_while_reading_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")

    def broken(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "open", broken)
    with pytest.raises(FileError, match="file cannot be read: Input/output error"):
        read_regular_file(tmp_path / "file", 10)


def test_a_foreign_file_stays_and_our_own_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("foreign")
    before = state(file)
    with pytest.raises(FileError, match="was not written by this program and is left as it is"):
        write_atomically(file, b"new", lambda path: path.read_text() == "ours")
    assert state(file) == before and os.listdir(tmp_path) == ["file"]
    file.write_text("ours")
    file.chmod(0o640)
    write_atomically(file, b"new", lambda path: path.read_text() == "ours")
    assert file.read_text() == "new" and os.listdir(tmp_path) == ["file"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_symbolic_link_stays_one_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("old")
    (tmp_path / "link").symlink_to("elsewhere/file")
    write_output(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "file").read_text() == "new"
    assert os.listdir(tmp_path / "elsewhere") == ["file"]


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with NewFile(file, lambda _: False) as new:
        file.write_text("somebody else's")
        with pytest.raises(FileError, match="is left as it is"):
            new.finish()
    assert file.read_text() == "somebody else's" and os.listdir(tmp_path) == ["file"]


def test_what_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    with NewFile(tmp_path / "file", any_file) as new:
        new.stream.write(b"half")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize("call", ["fsync", "replace", "link"])
def test_a_full_disk_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: bool, call: str
) -> None:
    file = tmp_path / "file"
    if existing:
        file.write_text("old")
    if call == ("link" if existing else "replace"):
        pytest.skip("not called here")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path if call == "replace" else os, call, full)
    with pytest.raises(FileError, match="file cannot be written: No space left on device"):
        write_output(file, b"new")
    assert os.listdir(tmp_path) == ["file"] * existing
    assert not existing or file.read_text() == "old"


def test_a_file_system_without_hard_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", none)
    write_output(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_text() == "new" and os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_or_folder_that_may_not_be_written_stays(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(0o400)
    with pytest.raises(FileError, match="Permission denied"):
        write_output(file, b"new")
    file.chmod(0o600)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(FileError, match="Permission denied"):
            write_output(file, b"new")
    finally:
        tmp_path.chmod(0o700)
    assert file.read_text() == "old"


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be written: No such file or directory"):
        write_output(tmp_path / "nowhere" / "file", b"new")
