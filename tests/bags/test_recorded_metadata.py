# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""metadata.yaml of every version of rosbag2, and the compression that it describes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
import zstandard
from foreign_bags import TEXT, ForeignTopic, Message, text, write_mcap, write_sqlite

from zs_seg_ros.bags.bag import DEFAULT_DEPTH, Bag
from zs_seg_ros.errors import BagError

VERSIONS = range(1, 10)
TEXTS: list[Message] = [(TEXT, 1000 + 10 * n, text(f"number {n}")) for n in range(40)]
WORDS = [f"number {n}" for n in range(40)]
HASH = TEXT.type_hash
_FOREVER = {"sec": 9223372036, "nsec": 854775807}


def qos(version: int) -> Any:
    """Return a latched, reliable profile of depth 7 as this version writes it."""
    named = version >= 9
    profile = {
        "history": "keep_last" if named else 1,
        "depth": 7,
        "reliability": "reliable" if named else 1,
        "durability": "transient_local" if named else 1,
        "deadline": _FOREVER,
        "lifespan": _FOREVER,
        "liveliness": "automatic" if named else 1,
        "liveliness_lease_duration": _FOREVER,
        "avoid_ros_namespace_conventions": False,
    }
    return [profile] if named else yaml.safe_dump([profile])


def information(version: int, storage: str, files: list[str], count: int = 40) -> dict[str, Any]:
    """Return what rosbag2 writes in this version: fields came one by one."""
    topic: dict[str, Any] = {
        "name": "/text",
        "type": "std_msgs/msg/String",
        "serialization_format": "cdr",
    }
    if version >= 4:
        topic["offered_qos_profiles"] = qos(version)
    if version >= 7:
        topic["type_description_hash"] = HASH
    content: dict[str, Any] = {
        "version": version,
        "storage_identifier": storage,
        "duration": {"nanoseconds": 390},
        "starting_time": {"nanoseconds_since_epoch": 1000},
        "message_count": count,
        "topics_with_message_count": [{"topic_metadata": topic, "message_count": count}],
        "relative_file_paths": files,
    }
    if version >= 3:
        content |= {"compression_format": "", "compression_mode": ""}
    if version >= 5:
        content["files"] = [
            {
                "path": name,
                "starting_time": {"nanoseconds_since_epoch": 1000},
                "duration": {"nanoseconds": 390},
                "message_count": count,
            }
            for name in files
        ]
    if version >= 6:
        content["custom_data"] = {"robot": "spot"} if version >= 7 else None
    if version >= 8:
        content["ros_distro"] = "jazzy"
    return content


def write_metadata(folder: Path, content: dict[str, Any], **changes: Any) -> Path:
    described = {"rosbag2_bagfile_information": content | changes}
    copied = json.loads(json.dumps(described))  # without shared objects: rosbag2 writes no aliases
    (folder / "metadata.yaml").write_text(yaml.safe_dump(copied, sort_keys=False))
    return folder


def words(bag: Bag) -> list[str]:
    return [message.content.data for message in bag.messages(["/text"])]


def compress(path: Path) -> Path:
    target = path.with_name(f"{path.name}.zstd")
    target.write_bytes(zstandard.ZstdCompressor().compress(path.read_bytes()))
    path.unlink()
    return target


WRITERS: dict[str, Callable[[Path, list[Message]], Path]] = {
    "mcap": write_mcap,
    "sqlite3": write_sqlite,
}
SUFFIXES = {"mcap": "mcap", "sqlite3": "db3"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("storage", WRITERS)
def test_every_version_is_read(tmp_path: Path, version: int, storage: str) -> None:
    folder = tmp_path / "drive"
    names = [f"drive_{part}.{SUFFIXES[storage]}" for part in range(2)]
    WRITERS[storage](folder / names[0], TEXTS[:15])
    WRITERS[storage](folder / names[1], TEXTS[15:])
    # The first versions listed the files relative to the folder's parent.
    listed = [f"drive/{name}" for name in names] if version < 4 else names
    write_metadata(folder, information(version, storage, listed))
    with Bag(folder) as bag:
        assert words(bag) == WORDS
        assert bag.warnings == ()
        topic = bag.topics["/text"]
        assert (topic.message_count, bag.start_ns, bag.duration_ns) == (40, 1000, 390)
        assert topic.latched == (version >= 4)
        assert topic.depth == (7 if version >= 4 else DEFAULT_DEPTH)
        assert bag.custom_data == ({"robot": "spot"} if version >= 7 else {})
        (channel,) = bag.channels
        assert channel.type_hash == HASH


@pytest.mark.parametrize("version", [3, 4, 6, 9])
@pytest.mark.parametrize("storage", WRITERS)
@pytest.mark.parametrize("mode", ["FILE", "file"])
def test_files_that_were_compressed_as_a_whole_are_read(
    tmp_path: Path, version: int, storage: str, mode: str
) -> None:
    name = f"drive_0.{SUFFIXES[storage]}"
    file = compress(WRITERS[storage](tmp_path / name, TEXTS))
    content = information(version, storage, [file.name])
    write_metadata(tmp_path, content, compression_format="zstd", compression_mode=mode)
    with Bag(tmp_path) as bag:
        assert words(bag) == WORDS
    (tmp_path / "metadata.yaml").unlink()
    with Bag(tmp_path) as bag:
        assert words(bag) == WORDS
    with Bag(file) as bag:
        assert words(bag) == WORDS


@pytest.mark.parametrize("storage", WRITERS)
@pytest.mark.parametrize("listed_compressed", [True, False])
def test_a_file_that_was_compressed_or_decompressed_later_is_found(
    tmp_path: Path, storage: str, listed_compressed: bool
) -> None:
    name = f"drive_0.{SUFFIXES[storage]}"
    file = WRITERS[storage](tmp_path / name, TEXTS)
    if not listed_compressed:
        compress(file)
    content = information(4, storage, [f"{name}.zstd" if listed_compressed else name])
    write_metadata(tmp_path, content, compression_format="zstd", compression_mode="FILE")
    with Bag(tmp_path) as bag:
        assert words(bag) == WORDS
        assert bag.warnings == ()


@pytest.mark.parametrize("storage", WRITERS)
@pytest.mark.parametrize("described", [True, False])
def test_messages_that_were_compressed_one_by_one_are_read(
    tmp_path: Path, storage: str, described: bool
) -> None:
    compressor = zstandard.ZstdCompressor()
    messages = [(topic, time_ns, compressor.compress(data)) for topic, time_ns, data in TEXTS]
    name = f"drive_0.{SUFFIXES[storage]}"
    WRITERS[storage](tmp_path / name, messages)
    if described:
        content = information(5, storage, [name])
        write_metadata(tmp_path, content, compression_format="zstd", compression_mode="MESSAGE")
    for path in (tmp_path, tmp_path / name):
        with Bag(path) as bag:
            assert words(bag) == WORDS


def test_a_compressed_message_that_is_cut_off_is_reported(tmp_path: Path) -> None:
    whole = zstandard.ZstdCompressor().compress(text("a long text " * 50))
    path = write_sqlite(tmp_path / "lone.db3", [(TEXT, 1, whole[:-4])])
    with Bag(path) as bag, pytest.raises(BagError, match="a compressed message is cut off"):
        words(bag)


@pytest.mark.parametrize("storage", WRITERS)
def test_missing_files_are_named_and_the_others_are_read(tmp_path: Path, storage: str) -> None:
    names = [f"drive_{part}.{SUFFIXES[storage]}" for part in range(4)]
    for part in (0, 3):
        WRITERS[storage](tmp_path / names[part], TEXTS[10 * part : 10 * part + 10])
    write_metadata(tmp_path, information(6, storage, names))
    with Bag(tmp_path) as bag:
        assert words(bag) == [*WORDS[:10], *WORDS[30:]]
        (warning,) = bag.warnings
        assert f"{names[1]}, {names[2]} is missing" in warning
        assert bag.topics["/text"].message_count == 20


@pytest.mark.parametrize("storage", WRITERS)
@pytest.mark.parametrize("described", [True, False])
@pytest.mark.parametrize("content", [b"", b"\0" * 9000, b"text"])
def test_a_file_that_cannot_be_read_is_left_out_and_the_others_are_read(
    tmp_path: Path, storage: str, described: bool, content: bytes
) -> None:
    names = [f"drive_{part}.{SUFFIXES[storage]}" for part in range(2)]
    WRITERS[storage](tmp_path / names[0], TEXTS[:25])
    (tmp_path / names[1]).write_bytes(content)
    if described:
        write_metadata(tmp_path, information(5, storage, names))
    with Bag(tmp_path) as bag:
        assert words(bag) == WORDS[:25]
        (warning,) = (w for w in bag.warnings if "left out" in w)
        assert names[1] in warning
    (tmp_path / names[0]).unlink()
    with pytest.raises(BagError, match=names[1]):
        Bag(tmp_path)


def test_paths_of_windows_are_read(tmp_path: Path) -> None:
    write_mcap(tmp_path / "drive_0.mcap", TEXTS)
    write_metadata(tmp_path, information(4, "mcap", ["C:\\data\\drive\\drive_0.mcap"]))
    with Bag(tmp_path) as bag:
        assert words(bag) == WORDS


@pytest.mark.parametrize("storage", WRITERS)
def test_types_with_the_short_names_of_the_first_releases_are_read(
    tmp_path: Path, storage: str
) -> None:
    short = ForeignTopic("/text", "std_msgs/String", b"", "")
    messages = [(short, time_ns, data) for _, time_ns, data in TEXTS]
    with Bag(WRITERS[storage](tmp_path / f"lone.{SUFFIXES[storage]}", messages)) as bag:
        assert words(bag) == WORDS
        assert bag.topics["/text"].message_type == "std_msgs/msg/String"


def test_a_type_without_fields_has_an_empty_definition(tmp_path: Path) -> None:
    empty = ForeignTopic("/trigger", "other_msgs/msg/Trigger", b"")
    path = write_mcap(tmp_path / "lone.mcap", [(empty, 5, b"\0\1\0\0\0"), *TEXTS])
    with Bag(path) as bag:
        (message,) = bag.messages(["/trigger"])
        assert message.content.__msgtype__ == "other_msgs/msg/Trigger"
        assert words(bag) == WORDS


def test_a_recording_without_messages_is_read(tmp_path: Path) -> None:
    write_sqlite(tmp_path / "drive_0.db3", [])
    content = information(4, "sqlite3", ["drive_0.db3"], count=0)
    write_metadata(tmp_path, content)
    with Bag(tmp_path) as bag:
        assert bag.topics["/text"].message_count == 0
        assert list(bag.messages()) == []
        assert (bag.start_ns, bag.duration_ns) == (0, 0)
