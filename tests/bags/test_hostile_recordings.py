# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Recordings that lie about what they hold are read as far as they can be, or refused in one sentence."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import zstandard
from bag_messages import START_NS, STEP_NS, STORE, image_message
from foreign_bags import ForeignTopic, write_mcap, write_sqlite
from small_bags import image, write_bag

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.bags.bag_cameras import find_cameras
from zs_seg_ros.errors import BagError

IMAGE = "sensor_msgs/msg/Image"
DEFINITION = STORE.generate_msgdef(IMAGE, ros_version=2)[0].encode()
ALIASES = "a: &a [x, x]\nb: &b [*a, *a]\n"


def messages(name: str = "/camera/image_raw") -> list[tuple[ForeignTopic, int, bytes]]:
    topic = ForeignTopic(name, IMAGE, DEFINITION)
    return [
        (topic, time_ns, bytes(STORE.serialize_cdr(image_message(image(n), time_ns), IMAGE)))
        for n in range(3)
        if (time_ns := START_NS + n * STEP_NS)
    ]


# --- metadata.yaml ---


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested more than 32 levels"),
        ("rosbag2_bagfile_information: !!timestamp x", "the tag"),
        ("rosbag2_bagfile_information: !!int ''", "the tag"),
        (ALIASES, "an anchor"),
        ("rosbag2_bagfile_information: 7", "no mapping named rosbag2_bagfile_information"),
        ("rosbag2_bagfile_information: {relative_file_paths: 7}", "are not a list of texts"),
        ("rosbag2_bagfile_information: {relative_file_paths: [[a]]}", "are not a list of texts"),
        (
            "rosbag2_bagfile_information: {relative_file_paths: [a], topics_with_message_count: [7]}",
            "are not a list of topics",
        ),
        (
            "rosbag2_bagfile_information: {relative_file_paths: [a], custom_data: [1, 2]}",
            "custom_data is not a mapping",
        ),
        (" " * ((16 << 20) + 1), "bytes or more"),
    ],
    ids=["deep", "time", "int", "aliases", "number", "files", "lists", "topics", "custom", "giant"],
)
def test_a_hostile_metadata_file_is_left_out_with_its_reason(
    tmp_path: Path, text: str, reason: str
) -> None:
    folder = write_bag(tmp_path / "bag")
    (folder / "metadata.yaml").write_text(text)
    with Bag(folder) as bag:
        assert reason in bag.warnings[0] and bag.warnings[0].isprintable()
        assert bag.topics["/camera/image_raw"].message_count == 8


@pytest.mark.parametrize("count", [10**11, -5])
def test_counts_of_the_metadata_file_are_not_used(tmp_path: Path, count: int) -> None:
    folder = write_bag(tmp_path / "bag")
    path = folder / "metadata.yaml"
    path.write_text(path.read_text().replace("message_count: 8", f"message_count: {count}"))
    assert str(count) in path.read_text()
    with Bag(folder) as bag:
        assert bag.topics["/camera/image_raw"].message_count == 8
        assert len(list(bag.messages(["/camera/image_raw"]))) == 8


def test_a_metadata_file_that_is_a_device_is_not_opened(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "bag")
    (folder / "metadata.yaml").unlink()
    (folder / "metadata.yaml").symlink_to("/dev/zero")
    with Bag(folder) as bag:
        assert len(list(bag.messages())) == 8


# --- topics ---


@pytest.mark.parametrize(
    "name", ["../../../outside", "a/../../b", ".", "", "a//b", "a\x1b[2J", "n" * 201]
)
def test_a_topic_whose_camera_would_lie_outside_the_result_is_no_camera(
    tmp_path: Path, name: str
) -> None:
    path = write_mcap(tmp_path / "bag.mcap", messages(f"/{name}/image_raw"))
    with Bag(path) as bag, pytest.raises(BagError, match="has no camera"):
        find_cameras(bag)


@pytest.mark.parametrize("name", ["../outside", "a/../b", "a//b", "n" * 201])
def test_a_camera_cannot_be_named_as_a_place_elsewhere(tmp_path: Path, name: str) -> None:
    path = write_mcap(tmp_path / "bag.mcap", messages())
    with Bag(path) as bag, pytest.raises(BagError, match="cannot be named so"):
        find_cameras(bag, [f"{name}=/camera/image_raw"])


# --- SQLite ---


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "DROP TABLE messages; CREATE VIEW messages AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 "
            "FROM n) SELECT id, 1 AS topic_id, id AS timestamp, x'00' AS data FROM n;",
            "'messages' is a view or has computed columns",
        ),
        (
            "DROP TABLE messages; CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, data AS "
            "(zeroblob(900000000))); INSERT INTO messages VALUES(1, 1, 1);",
            "'messages' is a view or has computed columns",
        ),
        ("UPDATE messages SET timestamp = 'x' WHERE id = 1;", "its times are no whole numbers"),
        ("UPDATE messages SET timestamp = 1.5;", "its times are no whole numbers"),
        ("UPDATE topics SET name = x'ff';", "a topic has no name or no type"),
        ("UPDATE topics SET type = NULL;", "a topic has no name or no type"),
    ],
    ids=["view", "computed", "text", "real", "blob", "null"],
)
def test_a_database_that_is_none_of_rosbag2_is_refused(
    tmp_path: Path, script: str, reason: str
) -> None:
    path = write_sqlite(tmp_path / "bag.db3", messages())
    database = sqlite3.connect(path)
    database.executescript(script)
    database.close()
    with pytest.raises(BagError, match=reason):
        Bag(path)


@pytest.mark.parametrize("data", ["2000000000", "'x'", "NULL"])
def test_a_message_that_is_no_binary_data_is_damage(tmp_path: Path, data: str) -> None:
    path = write_sqlite(tmp_path / "bag.db3", messages())
    database = sqlite3.connect(path)
    database.executescript(f"UPDATE messages SET data = {data};")
    database.close()
    with Bag(path) as bag, pytest.raises(BagError, match="is no binary data"):
        list(bag.messages())


# --- what unpacks to gigabytes ---


def test_a_message_that_unpacks_to_gigabytes_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zs_seg_ros.bags.bag._MOST_MESSAGE_BYTES", 1 << 20)
    topic = ForeignTopic("/camera/image_raw", IMAGE, DEFINITION)
    for size, fits in ((1 << 20, True), ((1 << 20) + 1, False)):
        packed = zstandard.ZstdCompressor().compress(bytes(size))
        path = write_mcap(tmp_path / f"{size}.mcap", [(topic, START_NS, packed)])
        with Bag(path) as bag:
            if fits:
                assert len(next(bag.messages()).serialised) == size
            else:
                with pytest.raises(BagError, match="has more than 1 MiB"):
                    list(bag.messages())
