# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Hostile recordings: metadata.yaml, MCAP and SQLite files that lie about what they hold."""

from __future__ import annotations

import sqlite3
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import foreign_bags
import goldens
import numpy as np
import zstandard
from bag_messages import START_NS, STEP_NS, STORE, image_message
from foreign_bags import ForeignTopic
from rosbags.typesys import Stores, get_typestore
from small_bags import image

IMAGE = "sensor_msgs/msg/Image"
MANY = 10**11
DEFINITION = get_typestore(Stores.ROS2_JAZZY).generate_msgdef(IMAGE, ros_version=2)[0]
CAMERA = ForeignTopic("/camera/image_raw", IMAGE, DEFINITION.encode())
TOPICS = (
    "/../../../escaped/image_raw", "/a/../../../../../escaped/image_raw", "/./image_raw", "//image_raw", "/image_raw",
    "/\x1b[2J/image_raw", "/a\n[ERROR] forged/image_raw", "/" + "long/" * 2000 + "image_raw", "/a b/image_raw",
    "/camera\0/image_raw", "/\u202egnorts/image_raw", "/zs_seg/vocabulary", "/" + "n" * 300 + "/image_raw",
)  # fmt: skip
TYPES = (
    "this/msg/X", "os/path/join", "../../x/msg/Y", "", "builtins/exec", "sensor_msgs/msg/../Image", "x" * 100_000,
    "std_msgs/msg/__doc__", "\x1b[2J/msg/X", "sensor_msgs/msg/Image\n[ERROR] forged",
)  # fmt: skip
DEFINITIONS = (
    "Image[] more\n", "Nothing[4294967295] many\n" + "=" * 80 + "\nMSG: sensor_msgs/Nothing\n",
    "uint8[4294967295] data\n",
    "string s 'x'*10**9\n", "int32 __import__\n", "uint8 " + "x" * 2_000_000 + "\n", "[" * 100_000,
    "".join(f"uint8 f{n}\n" for n in range(20_000)), "int32 A=" + "9" * 100_000 + "\n", "\0\1\2",
)  # fmt: skip
METADATA = {
    "tags": "rosbag2_bagfile_information: !!python/object:os.system x",
    "depth": "[" * 100_000,
    "blank": "",
    "list": "[]",
    "scalar": "rosbag2_bagfile_information: 7",
    "timestamp": "rosbag2_bagfile_information: !!timestamp x",
    "empty int": "rosbag2_bagfile_information: !!int ''",
    "many keys": "".join(f"k{n}: 1\n" for n in range(400_000)),
}
CHANGES = {
    "many messages": ("message_count: ", f"message_count: {MANY}"),
    "negative counts": ("message_count: ", "message_count: -"),
    "text counts": ("message_count: ", "message_count: x"),
    "files a number": ("relative_file_paths:\n", "relative_file_paths: 7\n  x:\n"),
    "files elsewhere": ("- tabletop.mcap", "- ../../../../../../etc/passwd"),
    "topics a number": ("topics_with_message_count:", "topics_with_message_count: 7\n  x:"),
    "custom data a list": ("  custom_data:\n", "  custom_data: [1, 2]\n  x:\n"),
    "names a list": ("name: /camera/image_raw", "name: [1, [2]]"),
    "hostile names": ("name: /camera/image_raw", 'name: "\\e[2J/../x"'),
    "message compressed": ("compression_mode: ''", "compression_mode: message"),
    "mode a list": ("compression_mode: ''", "compression_mode: [a]"),
    "bomb": ("made_by:", "made_by: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"    {b}: &{b} [{','.join(['*' + a] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ) + "    z:"),
}  # fmt: skip


def metadata_text(change: str) -> str:
    old, new = CHANGES[change]
    return (goldens.RECORDING / "metadata.yaml").read_text().replace(old, new)


def with_metadata(folder: Path, text: str) -> Path:
    """Write a small recording with a changed metadata.yaml of the shipped one."""
    folder.mkdir()
    foreign_bags.write_mcap(folder / "tabletop.mcap", messages(CAMERA))
    (folder / "metadata.yaml").write_text(text)
    return folder


def frame(number: int = 0) -> bytes:
    """A serialised image."""
    message = image_message(image(number), START_NS + number * STEP_NS)
    return bytes(STORE.serialize_cdr(message, IMAGE))


def messages(
    topic: ForeignTopic, data: bytes | None = None
) -> list[tuple[ForeignTopic, int, bytes]]:
    return [(topic, START_NS + n * STEP_NS, data or frame(n)) for n in range(3)]


def mcap_bags(random: Random, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield names and lone MCAP files."""

    def write(name: str, content: Sequence[tuple[ForeignTopic, int, bytes]]) -> tuple[str, Path]:
        return name, foreign_bags.write_mcap(folder / f"{name.replace(' ', '_')}.mcap", content)

    good = messages(CAMERA)
    for number, topic in enumerate(TOPICS):
        yield write(f"topic {number}", [*messages(replace(CAMERA, name=topic)), *good])
        yield write(f"only topic {number}", messages(replace(CAMERA, name=topic)))
    for number, kind in enumerate(TYPES):
        other = replace(CAMERA, name="/other", kind=kind)
        yield write(f"type {number}", [*messages(other, bytes(8)), *good])
    for number, definition in enumerate(DEFINITIONS):
        yield write(
            f"definition {number}", messages(replace(CAMERA, definition=definition.encode()))
        )
    for name, data in {
        "4 GB": frame()[:60] + b"\xff" * 40, "nothing": b"", "a bit": bytes(3), "noise": random.randbytes(2000),
        "cut": frame()[:70], "big end": b"\x00\x00" + frame()[2:], "ones": b"\x00\x01\x00\x00" + b"\xff" * 64,
    }.items():  # fmt: skip
        yield write(f"data {name}", [*messages(CAMERA, data), *good])
    for name, time_ns in {"first": 0, "last": 2**63 - 1, "beyond": 2**64 - 1}.items():
        yield write(f"time {name}", [(CAMERA, time_ns, frame()), *good])
    path = folder / "counts.mcap"
    foreign_bags.write_mcap(path, good)
    data = bytearray(path.read_bytes())
    at = data.rindex(struct.pack("<QQ", START_NS, START_NS + 2 * STEP_NS)) + 20
    data[at + 2 : at + 10] = struct.pack("<Q", MANY)
    path.write_bytes(data)
    yield "counts of 10^11", path
    for name, (kind, packed, size) in {
        "zstd chunk of 2 GB": ("zstd", _zeros(2 << 30), 2 << 30),
        "zstd chunk of 2^60": ("zstd", _zeros(1 << 20), 1 << 60),
        "lz4 chunk of 2^60": ("lz4", b"\x04\x22\x4d\x18\x64\x40\xa7" + bytes(16), 1 << 60),
        "chunk of an unknown kind": ("\x1b[2J", bytes(64), 64),
    }.items():
        path = folder / f"{name.replace(' ', '_')}.mcap"
        path.write_bytes(_with_chunk(kind, packed, size))
        yield name, path


def _zeros(size: int) -> bytes:
    """Return zeros compressed by zstd."""
    packer = zstandard.ZstdCompressor(level=3).compressobj(size=size)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(size >> 20)) + packer.flush()


def _with_chunk(compression: str, packed: bytes, size: int) -> bytes:
    name = compression.encode()
    chunk = struct.pack("<QQQII", START_NS, START_NS, size, 0, len(name)) + name
    chunk += struct.pack("<Q", len(packed)) + packed
    data = b"\x89MCAP0\r\n" + _record(1, struct.pack("<II", 0, 0)) + _record(6, chunk)
    return data + _record(15, struct.pack("<I", zlib.crc32(b"")))


def _record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


SQL = {
    "endless view": "DROP TABLE messages; CREATE VIEW messages AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT "
    "id + 1 FROM n) SELECT id, 1 AS topic_id, id AS timestamp, x'00' AS data FROM n;",
    "large view": "DROP TABLE messages; CREATE VIEW messages AS SELECT 1 AS id, 1 AS topic_id, 1 AS timestamp, "
    "zeroblob(900000000) AS data;",
    "generated column": "DROP TABLE messages; CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, data "
    "AS (zeroblob(900000000))); INSERT INTO messages VALUES(1, 1, 1);",
    "data a number": "UPDATE messages SET data = 2000000000;",
    "data a text": "UPDATE messages SET data = 'x';",
    "data nothing": "UPDATE messages SET data = NULL;",
    "times texts": "UPDATE messages SET timestamp = 'x' WHERE id = 1;",
    "times texts all": "UPDATE messages SET timestamp = 'x';",
    "times reals": "UPDATE messages SET timestamp = 1e300;",
    "topic unknown": "UPDATE messages SET topic_id = 77;",
    "names nothing": "UPDATE topics SET name = NULL, type = NULL;",
    "names blobs": "UPDATE topics SET name = x'ff00', type = x'ff';",
    "names numbers": "UPDATE topics SET name = 7, type = 8, serialization_format = 9;",
    "profiles deep": "UPDATE topics SET offered_qos_profiles = '" + "[" * 100_000 + "';",
    "no topics": "DROP TABLE topics;",
    "name escaped": "UPDATE topics SET name = '/../../../escaped/image_raw';",
}  # fmt: skip


def sqlite_bags(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield names and lone SQLite files."""
    for name, script in SQL.items():
        path = foreign_bags.write_sqlite(folder / f"{name.replace(' ', '_')}.db3", messages(CAMERA))
        database = sqlite3.connect(path)
        database.executescript(script)
        database.close()
        yield f"sqlite {name}", path


def compressed_bags(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield names and folders whose messages or files unpack to gigabytes."""
    bomb = folder / "message_bomb"
    bomb.mkdir()
    foreign_bags.write_mcap(bomb / "tabletop.mcap", messages(CAMERA, _zeros(2 << 30)))
    (bomb / "metadata.yaml").write_text(metadata_text("message compressed"))
    yield "messages of 2 GB", bomb
    noise = folder / "noise.mcap.zstd"
    noise.write_bytes(np.random.default_rng(0).bytes(1000))
    yield "a damaged zstd file", noise
