# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Writes recordings as other programs do: MCAP by the library mcap, SQLite by plain SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bag_messages import STORE, new
from mcap.writer import CompressionType, Writer

STRING = "std_msgs/msg/String"


@dataclass(frozen=True)
class ForeignTopic:
    """A topic as a program other than this one records it."""

    name: str
    kind: str
    definition: bytes
    definition_format: str = "ros2msg"
    type_hash: str = "RIHS01_" + 64 * "a"
    encoding: str = "cdr"


TEXT = ForeignTopic("/text", STRING, b"string data\n")
PX4 = ForeignTopic("/fmu/out/log", "px4_msgs/msg/LogMessage", b"uint64 timestamp\nchar[127] text\n")
SERVICE = ForeignTopic(
    "/add/_service_event", "example_interfaces/srv/AddTwoInts_Event", b"int64 a\n---\nint64 sum\n"
)
IDL = ForeignTopic("/idl", "other_msgs/msg/Idl", b"module broken { struct ", "ros2idl")
WIDE = ForeignTopic("/wide", "other_msgs/msg/Wide", b"wstring text\n")
UNDEFINED = ForeignTopic("/undefined", "other_msgs/msg/Undefined", b"", "")
PROTOBUF = ForeignTopic(
    "/fox", "foxglove.CompressedImage", b"\xff\xfe\x00", "protobuf", "", "protobuf"
)
JSON = ForeignTopic("/json", "annotations", b"{}", "jsonschema", "", "json")
FOREIGN = (PX4, SERVICE, IDL, WIDE, UNDEFINED, PROTOBUF, JSON)
PAYLOAD = b"\x00\x01\x00\x00\x01\x02\x03\x04"


def text(words: str) -> bytes:
    return bytes(STORE.serialize_cdr(new(STRING, data=words), STRING))


Message = tuple[ForeignTopic, int, bytes]


def write_mcap(
    path: Path,
    messages: Sequence[Message],
    profile: str = "ros2",
    chunk_size: int = 300,
    indexed: bool = True,
    chunked: bool = True,
) -> Path:
    """Write (topic, time in ns, data) in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        writer = Writer(
            file,
            chunk_size,
            CompressionType.ZSTD,
            use_chunking=chunked,
            use_summary_offsets=indexed,
            use_statistics=indexed,
            repeat_channels=indexed,
            repeat_schemas=indexed,
        )
        writer.start(profile, "tests")
        channels: dict[str, int] = {}
        for topic, time_ns, data in messages:
            if topic.name not in channels:
                schema = writer.register_schema(
                    topic.kind, topic.definition_format, topic.definition
                )
                metadata = {"topic_type_hash": topic.type_hash} if topic.type_hash else {}
                channels[topic.name] = writer.register_channel(
                    topic.name, topic.encoding, schema, metadata
                )
            writer.add_message(channels[topic.name], time_ns, data, time_ns)
        writer.finish()
    return path


def write_sqlite(path: Path, messages: Sequence[Message], columns: int = 6) -> Path:
    """Write a .db3 file by SQL. columns: of the table topics, 4 in the first versions of rosbag2, 6 in the newest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = ("id INTEGER PRIMARY KEY", "name", "type", "serialization_format")
    names += ("offered_qos_profiles", "type_description_hash")
    database = sqlite3.connect(path)
    database.execute(f"CREATE TABLE topics({', '.join(names[:columns])})")
    database.execute("CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, data)")
    if columns == 6:
        database.execute(
            "CREATE TABLE message_definitions(id INTEGER PRIMARY KEY, topic_type, encoding, "
            "encoded_message_definition, type_description_hash)"
        )
    ids: dict[str, int] = {}
    for topic, time_ns, data in messages:
        if topic.name not in ids:
            ids[topic.name] = len(ids) + 1
            row = (ids[topic.name], topic.name, topic.kind, topic.encoding, "", topic.type_hash)
            database.execute(
                f"INSERT INTO topics VALUES({', '.join('?' * columns)})", row[:columns]
            )
            if columns == 6 and topic.definition_format:
                database.execute(
                    "INSERT INTO message_definitions VALUES(NULL, ?, ?, ?, ?)",
                    (
                        topic.kind,
                        topic.definition_format,
                        topic.definition.decode(),
                        topic.type_hash,
                    ),
                )
        database.execute(
            "INSERT INTO messages VALUES(NULL, ?, ?, ?)", (ids[topic.name], time_ns, data)
        )
    database.commit()
    database.close()
    return path
