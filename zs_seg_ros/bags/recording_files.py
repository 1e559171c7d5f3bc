# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Finds and opens the files of a recording: a rosbag2 folder, with or without metadata.yaml, or a lone file."""

from __future__ import annotations

import heapq
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import zstandard

from zs_seg_ros.bags.mcap_file import McapFile
from zs_seg_ros.bags.metadata import read_metadata
from zs_seg_ros.bags.sqlite_file import SqliteFile
from zs_seg_ros.bags.storage import Storage
from zs_seg_ros.errors import BagError, FileError, YamlError
from zs_seg_ros.shown import shown

_KINDS: dict[str, Callable[[Path], Storage]] = {".mcap": McapFile, ".db3": SqliteFile}
_ROS1_START = b"#ROSBAG"


@dataclass
class RecordingFiles:
    """The open files of a recording in the order of their times.

    metadata: of metadata.yaml; empty without. may_have_compressed_messages: rosbag2 has compressed messages one by
    one, or there is no metadata.yaml that could say so.
    """

    files: list[Storage]
    metadata: dict[str, Any]
    warnings: list[str]
    may_have_compressed_messages: bool = False
    ending: ExitStack = field(default_factory=ExitStack)


def open_recording(path: Path) -> RecordingFiles:
    """Open a rosbag2 folder or a lone file. Raises BagError, which names what it is and what helps."""
    if not path.exists():
        raise BagError(f"there is no recording {path}")
    metadata: dict[str, Any] = {}
    warnings: list[str] = []
    if path.is_file():
        paths = [path]
    else:
        metadata, paths = _folder(path, warnings)
    opened = RecordingFiles([], metadata, warnings)
    mode = str(metadata.get("compression_mode", "message" if not metadata else "")).lower()
    opened.may_have_compressed_messages = mode == "message"
    try:
        errors = []
        for file in paths:
            try:
                storage = _open_file(file, opened.ending)
            except (BagError, OSError) as error:
                errors.append(error)
                continue
            opened.ending.callback(storage.close)
            opened.files.append(storage)
        if errors and not opened.files:
            raise errors[0]
        warnings += [
            f"a file of the recording is left out: {shown(error, 300)}" for error in errors
        ]
    except BaseException:
        opened.ending.close()
        raise
    opened.files.sort(key=lambda f: f.start_ns if f.start_ns is not None else -1)
    return opened


def _folder(folder: Path, warnings: list[str]) -> tuple[dict[str, Any], list[Path]]:
    """Return the content of metadata.yaml and the files of the recording."""
    present = sorted(filter(_is_storage, folder.iterdir()), key=_natural)
    path = folder / "metadata.yaml"
    reason = "it has no metadata.yaml"
    if path.is_file():
        try:
            metadata = read_metadata(path)
            listed = [_listed(folder, str(name)) for name in metadata["relative_file_paths"]]
        except (YamlError, FileError, OSError, UnicodeDecodeError) as error:
            reason = f"its metadata.yaml cannot be read ({shown(error, 300)})"
        else:
            missing = [file.name for file in listed if not file.is_file()]
            if missing:
                warnings.append(f"of the recording {folder}, {', '.join(missing)} is missing")
            if len(missing) == len(listed):
                raise BagError(
                    f"the recording {folder} cannot be read: {', '.join(missing) or 'each file'} is missing; copy "
                    "it again"
                )
            return metadata, [file for file in listed if file.is_file()]
    if present:
        warnings.append(
            f"the recording {folder} is read from its {len(present)} files alone: {reason}; `ros2 bag reindex "
            f"{folder}` writes it anew"
        )
        return {}, present
    old = next(folder.glob("*.bag"), None)
    if old is not None:
        raise _ros1(old)
    raise BagError(
        f"{folder} is no recording: {reason} and there is no .mcap or .db3 file in it; name the folder that "
        "`ros2 bag record` has written"
    )


def _listed(folder: Path, name: str) -> Path:
    """Return a file that metadata.yaml lists. It may have been compressed or decompressed since then."""
    path = folder / re.split(r"[/\\]", name)[-1]
    others = (
        path,
        path.with_name(f"{path.name}.zstd"),
        path.with_name(path.name.removesuffix(".zstd")),
    )
    return next((other for other in others if other.is_file()), path)


def _open_file(path: Path, ending: ExitStack) -> Storage:
    with path.open("rb") as file:
        if file.read(len(_ROS1_START)) == _ROS1_START:
            raise _ros1(path)
    if path.suffix in (".zstd", ".zst"):
        path = _decompressed(path, ending)
    kind = _KINDS.get(path.suffix)
    if kind is None:
        raise BagError(
            f"{path} is no recording: name a folder that `ros2 bag record` has written, or an .mcap or .db3 file"
        )
    storage = kind(path)
    if any(c.encoding == "ros1" or c.definition_format == "ros1msg" for c in storage.channels):
        storage.close()
        raise _ros1(path)
    if storage.channels and all(c.encoding != "cdr" for c in storage.channels):
        storage.close()
        encodings = ", ".join(sorted({c.encoding or "unknown" for c in storage.channels}))
        names = ", ".join(sorted({c.message_type for c in storage.channels})[:3])
        raise BagError(
            f"{path} is an MCAP file without ROS 2 messages: its {len(storage.channels)} channels are encoded as "
            f"{encodings} ({names}); convert it to ROS 2 messages (cdr)"
        )
    return storage


def _decompressed(path: Path, ending: ExitStack) -> Path:
    """Decompress a file that rosbag2 compressed as a whole, into a temporary folder."""
    target = Path(ending.enter_context(TemporaryDirectory()), path.stem)
    try:
        with (
            path.open("rb") as compressed,
            target.open("wb") as plain,
            zstandard.ZstdDecompressor().stream_reader(
                compressed, read_across_frames=True
            ) as reader,
        ):
            shutil.copyfileobj(reader, plain)
    except zstandard.ZstdError as error:
        raise BagError(
            f"the recording {path} cannot be read: {shown(error, 300)}; record or copy it again"
        ) from error
    return target


def _is_storage(path: Path) -> bool:
    name = path.name.removesuffix(".zstd")
    return path.is_file() and Path(name).suffix in _KINDS


def _natural(path: Path) -> list[tuple[str, int]]:
    """Return a key that sorts bag_2 before bag_10."""
    parts = re.findall(r"(\D*)(\d*)", path.name)
    return [(text, int(number or 0)) for text, number in parts]


def _ros1(path: Path) -> BagError:
    return BagError(
        f"{path} is a recording of ROS 1; convert it: `rosbags-convert --src {path} --dst {path.with_suffix('')}_ros2`"
    )


def read_in_order(
    files: list[Storage], topics: set[str], start_ns: int | None, stop_ns: int | None
) -> Iterator[tuple[str, int, bytes]]:
    """Yield the messages of all files in the order of their times; only files that overlap are open at once."""
    for group in _overlapping(files):
        streams = [
            file.messages(topics, start_ns, stop_ns)
            for file, first_ns, last_ns in group
            if (start_ns is None or last_ns >= start_ns) and (stop_ns is None or first_ns < stop_ns)
        ]
        yield from heapq.merge(*streams, key=itemgetter(1))


def _overlapping(files: list[Storage]) -> list[list[tuple[Storage, int, int]]]:
    """Group the files that have messages, with their first and last time, by whether their times overlap."""
    groups: list[list[tuple[Storage, int, int]]] = []
    timed = [
        (file, file.start_ns, file.end_ns)
        for file in files
        if file.start_ns is not None and file.end_ns is not None
    ]
    for file, first_ns, last_ns in sorted(timed, key=itemgetter(1)):
        if groups and first_ns <= max(last for _, _, last in groups[-1]):
            groups[-1].append((file, first_ns, last_ns))
        else:
            groups.append([(file, first_ns, last_ns)])
    return groups
