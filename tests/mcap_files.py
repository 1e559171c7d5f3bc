# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Writes MCAP files record by record, in forms that the library mcap cannot write, and damages them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import lz4.frame
import zstandard

MAGIC = b"\x89MCAP0\r\n"
MESSAGE, CHUNK = 5, 6
_COMPRESSORS = {"": bytes, "lz4": lz4.frame.compress, "zstd": zstandard.ZstdCompressor().compress}


def record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def _sized(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


def header() -> bytes:
    return MAGIC + record(1, _sized(b"ros2") + _sized(b"tests"))


def schema(number: int, name: str, definition: bytes, form: str = "ros2msg") -> bytes:
    content = struct.pack("<H", number) + _sized(name.encode()) + _sized(form.encode())
    return record(3, content + _sized(definition))


def channel(
    number: int, schema_number: int, topic: str, metadata: Mapping[str, str] | None = None
) -> bytes:
    pairs = b"".join(
        _sized(key.encode()) + _sized(value.encode()) for key, value in (metadata or {}).items()
    )
    content = struct.pack("<HH", number, schema_number) + _sized(topic.encode()) + _sized(b"cdr")
    return record(4, content + _sized(pairs))


def message(number: int, time_ns: int, data: bytes) -> bytes:
    return record(MESSAGE, struct.pack("<HIQQ", number, 0, time_ns, time_ns) + data)


def chunk(
    records: bytes, first_ns: int, last_ns: int, compression: str = "", crc: int | None = None
) -> bytes:
    """Return a chunk. crc: 0 for none; None for the right one."""
    checksum = zlib.crc32(records) if crc is None else crc
    stored = _COMPRESSORS[compression](records)
    start = struct.pack("<QQQI", first_ns, last_ns, len(records), checksum)
    content = start + _sized(compression.encode()) + struct.pack("<Q", len(stored)) + stored
    return record(CHUNK, content)


def message_index(number: int, places: Sequence[tuple[int, int]]) -> bytes:
    """Return the index of a chunk's messages of a channel. places: (time in ns, offset in the chunk)."""
    entries = b"".join(struct.pack("<QQ", *place) for place in places)
    return record(7, struct.pack("<H", number) + _sized(entries))


def attachment(name: str, data: bytes) -> bytes:
    content = struct.pack("<QQ", 1, 1) + _sized(name.encode()) + _sized(b"text/plain")
    content += struct.pack("<Q", len(data)) + data
    return record(9, content + struct.pack("<I", zlib.crc32(content)))


def metadata(name: str) -> bytes:
    return record(12, _sized(name.encode()) + _sized(_sized(b"key") + _sized(b"value")))


def end(summary: bytes = b"", summary_start: int = 0) -> bytes:
    """Return the end of the data, and the footer. summary_start: the offset of the summary; 0 for none."""
    footer = record(2, struct.pack("<QQI", summary_start, 0, 0))
    return record(15, struct.pack("<I", 0)) + summary + footer + MAGIC


def chunk_offsets(path: Path) -> list[tuple[int, int]]:
    """Return the place and length of each chunk of a file."""
    data, position, chunks = path.read_bytes(), len(MAGIC), []
    while position < len(data) - len(MAGIC):
        opcode, length = struct.unpack_from("<BQ", data, position)
        if opcode == CHUNK:
            chunks.append((position, 9 + length))
        position += 9 + length
    return chunks


def overwrite(path: Path, position: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        file.write(data)
