# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Recordings of other programs, and what is left of recordings after a crash."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from foreign_bags import (
    FOREIGN,
    IDL,
    JSON,
    PAYLOAD,
    PROTOBUF,
    TEXT,
    UNDEFINED,
    ForeignTopic,
    Message,
    text,
    write_mcap,
    write_sqlite,
)

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.errors import BagError
from zs_seg_ros.testing.bags import write_recording

TEXTS: list[Message] = [(TEXT, 1000 + 10 * n, text(f"number {n}")) for n in range(50)]
WORDS = [f"number {n}" for n in range(50)]


def words(bag: Bag) -> list[str]:
    return [message.content.data for message in bag.messages(["/text"])]


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda topic: topic.name)
@pytest.mark.parametrize("kind", ["mcap", "db3"])
def test_a_foreign_topic_does_not_disturb_the_others(
    tmp_path: Path, foreign: ForeignTopic, kind: str
) -> None:
    if kind == "db3" and foreign is PROTOBUF:
        pytest.skip("rosbag2's table of definitions holds text")
    messages: list[Message] = [(foreign, 5, PAYLOAD), *TEXTS]
    path = tmp_path / f"bag.{kind}"
    (write_mcap if kind == "mcap" else write_sqlite)(path, messages)
    with Bag(path) as bag:
        assert words(bag) == WORDS
        assert [m.serialised for m in bag.messages([foreign.name])] == [PAYLOAD]
        (channel,) = (c for c in bag.channels if c.topic == foreign.name)
        assert channel.type_hash == foreign.type_hash
        if foreign is not PROTOBUF:
            assert channel.definition == foreign.definition.decode()


@pytest.mark.parametrize("foreign", [IDL, UNDEFINED, PROTOBUF, JSON], ids=lambda t: t.name)
def test_the_content_of_a_topic_that_cannot_be_read_raises_one_sentence_that_names_it(
    tmp_path: Path, foreign: ForeignTopic
) -> None:
    path = write_mcap(tmp_path / "bag.mcap", [(foreign, 5, PAYLOAD), *TEXTS])
    with Bag(path) as bag:
        (message,) = bag.messages([foreign.name])
        with pytest.raises(BagError, match=f"the topic {foreign.name} cannot be read") as caught:
            _ = message.content
    assert "\n" not in str(caught.value)
    if foreign.encoding == "cdr":
        assert foreign.kind in str(caught.value)


@pytest.mark.parametrize("kind", ["mcap", "db3"])
def test_a_folder_without_metadata_is_read_from_its_files_in_their_order(
    tmp_path: Path, kind: str
) -> None:
    write = write_mcap if kind == "mcap" else write_sqlite
    for part in range(5):
        write(tmp_path / f"bag_{8 + part}.{kind}", TEXTS[10 * part : 10 * part + 10])
    with Bag(tmp_path) as bag:
        assert words(bag) == WORDS
        assert (bag.start_ns, bag.duration_ns) == (1000, 490)
        assert bag.topics["/text"].message_count == 50
        (warning,) = bag.warnings
        assert "has no metadata.yaml" in warning
        assert "ros2 bag reindex" in warning


@pytest.mark.parametrize("columns", [4, 5, 6])
def test_sqlite_files_of_every_version_are_read(tmp_path: Path, columns: int) -> None:
    with Bag(write_sqlite(tmp_path / "lone.db3", TEXTS, columns)) as bag:
        assert words(bag) == WORDS
        assert bag.warnings == ()
        assert [m.time_ns for m in bag.messages(["/text"], 1100, 1130)] == [1100, 1110, 1120]


@pytest.mark.parametrize(("indexed", "chunked"), [(True, True), (False, True), (False, False)])
def test_mcap_files_with_and_without_an_index_are_read(
    tmp_path: Path, indexed: bool, chunked: bool
) -> None:
    path = write_mcap(tmp_path / "lone.mcap", TEXTS, "", indexed=indexed, chunked=chunked)
    with Bag(path) as bag:
        assert words(bag) == WORDS
        assert bag.warnings == ()
        assert [m.time_ns for m in bag.messages(["/text"], 1100, 1130)] == [1100, 1110, 1120]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("chunked", [True, False])
def test_a_cut_off_mcap_is_read_up_to_the_cut(tmp_path: Path, share: float, chunked: bool) -> None:
    path = write_mcap(tmp_path / "cut.mcap", TEXTS, chunked=chunked)
    whole = path.read_bytes()
    end = whole.rindex(b"number 49") if not chunked else len(whole) // 2
    path.write_bytes(whole[: int(share * end)])
    with Bag(path) as bag:
        read = words(bag)
        (warning,) = bag.warnings
        assert 0 < len(read) < 50
        assert read == WORDS[: len(read)]
        assert f"{len(read)} messages" in warning


@pytest.mark.parametrize("kind", ["mcap", "db3"])
@pytest.mark.parametrize("definition", [b"uint8 level\n", b"Missing[] parts\n", b"float64 data\n"])
def test_a_definition_that_does_not_fit_the_messages_gives_way_to_that_of_ros(
    tmp_path: Path, kind: str, definition: bytes
) -> None:
    wrong = ForeignTopic("/text", TEXT.kind, definition)
    messages: list[Message] = [(wrong, time_ns, data) for _, time_ns, data in TEXTS]
    with Bag(
        (write_mcap if kind == "mcap" else write_sqlite)(tmp_path / f"lone.{kind}", messages)
    ) as bag:
        assert words(bag) == WORDS


def test_a_damaged_message_is_an_error_that_names_its_topic_and_time(tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "lone.mcap", [(TEXT, 77, b"\0\1\0\0\xff\0\0\0ab")])
    with Bag(path) as bag:
        (message,) = bag.messages()
        with pytest.raises(BagError, match="a message of /text at 77 ns cannot be read"):
            _ = message.content


def test_a_message_count_that_cannot_be_true_is_ignored(tmp_path: Path) -> None:
    write_recording(tmp_path / "bag", [(1, "/topic", "one"), (2, "/topic", "two")])
    path = tmp_path / "bag" / "metadata.yaml"
    metadata = yaml.safe_load(path.read_text())
    information = metadata["rosbag2_bagfile_information"]
    information["message_count"] = 10**11
    information["topics_with_message_count"][0]["message_count"] = 10**11
    path.write_text(yaml.safe_dump(metadata))
    with Bag(tmp_path / "bag") as bag:
        assert bag.topics["/topic"].message_count == 2


def _ros1_bag(folder: Path) -> Path:
    path = folder / "old.bag"
    path.write_bytes(b"#ROSBAG V2.0\n" + bytes(100))
    return path


def _ros1_mcap(folder: Path) -> Path:
    topic = ForeignTopic("/text", "std_msgs/String", b"string data", "ros1msg", "", "ros1")
    return write_mcap(folder / "old.mcap", [(topic, 1, b"\x00\x00\x00\x00")], "ros1")


def _ros1_folder(folder: Path) -> Path:
    return _ros1_bag(folder).parent


@pytest.mark.parametrize("write", [_ros1_bag, _ros1_mcap, _ros1_folder])
def test_recordings_of_ros_1_are_refused_with_the_command_that_converts_them(
    tmp_path: Path, write: object
) -> None:
    assert callable(write)
    with pytest.raises(BagError, match=r"of ROS 1; .*`rosbags-convert --src .*/old\.\w+ --dst .*`"):
        Bag(write(tmp_path))


def test_an_mcap_of_protobuf_alone_is_named_as_what_it_is(tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "fox.mcap", [(PROTOBUF, 1, b"\x08\x01")], "")
    expected = r"without ROS 2 messages: .* protobuf \(foxglove\.CompressedImage\)"
    with pytest.raises(BagError, match=expected):
        Bag(path)


def test_what_is_no_recording_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "no.mcap").write_text("text")
    (tmp_path / "no.db3").write_text("text " * 100)
    (tmp_path / "empty").mkdir()
    for name in ("notes.txt", "no.mcap", "no.db3", "empty", "missing"):
        with pytest.raises(BagError, match=re.escape(str(tmp_path / name))):
            Bag(tmp_path / name)


def test_messages_of_files_that_overlap_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    folder = tmp_path / "crashed"
    folder.mkdir()
    even = [message for n, message in enumerate(TEXTS) if n % 2 == 0]
    odd = [message for n, message in enumerate(TEXTS) if n % 2]
    write_mcap(folder / "a.mcap", odd)
    write_mcap(folder / "b.mcap", even)
    with Bag(folder) as bag:
        assert words(bag) == WORDS
