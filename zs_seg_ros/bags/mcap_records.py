# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The records of MCAP files: their headers, chunks, messages and indexes of messages."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterator

import lz4.frame
import zstandard

from zs_seg_ros.shown import quoted

MAGIC = b"\x89MCAP0\r\n"
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, CHUNK_INDEX = 2, 3, 4, 5, 6, 7, 8
ATTACHMENT, ATTACHMENT_INDEX, STATISTICS, METADATA, METADATA_INDEX = 9, 10, 11, 12, 13

HEADER = struct.Struct("<BQ")
"""Opcode and length of the content that follows."""
MESSAGE_START = struct.Struct("<HIQQ")
"""Channel, sequence number, time of recording in ns, time of publishing in ns; the data follow."""
_MESSAGE_RECORD = struct.Struct("<BQHIQ")
_DATA_OFFSET = HEADER.size + MESSAGE_START.size
_CHUNK_START = struct.Struct(
    "<QQQII"
)  # first, last time, size, CRC, length of the compression's name
_INDEX_START = struct.Struct("<HI")
_INDEX_ENTRY = struct.Struct("<QQ")
_MAX_CHUNK_BYTES = 2**28
"""A chunk that claims to be larger is taken for damaged: recorders close a chunk at a few megabytes, and one of a few
kilobytes may claim any size."""

Buffer = bytes | memoryview
Entry = tuple[int, int, int, int]
"""A message in a chunk: time of recording in ns, start and end of its data, channel."""


def records(data: Buffer) -> Iterator[tuple[int, int, int]]:
    """Yield opcode, start and end of the content of each record. Raises ValueError or struct.error for damage."""
    position = 0
    while position < len(data):
        opcode, length = HEADER.unpack_from(data, position)
        start = position + HEADER.size
        position = start + length
        if position > len(data):
            raise ValueError("a record is longer than what holds it")
        yield opcode, start, position


def text_at(data: Buffer, position: int) -> str:
    """Return the string of a record at a position: its length, then UTF-8."""
    (length,) = struct.unpack_from("<I", data, position)
    return bytes(data[position + 4 : position + 4 + length]).decode(errors="replace")


def chunk_times(content: Buffer) -> tuple[int, int]:
    """Return the times of the first and last message of a chunk, in ns, as its header has them."""
    first_ns, last_ns, *_ = _CHUNK_START.unpack_from(content)
    return first_ns, last_ns


def chunk_data(content: Buffer) -> Buffer:
    """Return the decompressed records of a chunk.

    Raises ValueError, struct.error, or an error of lz4 or zstandard for a damaged chunk.
    """
    _, _, size, crc, name_length = _CHUNK_START.unpack_from(content)
    start = _CHUNK_START.size + name_length
    compression = bytes(content[_CHUNK_START.size : start]).decode()
    (length,) = struct.unpack_from("<Q", content, start)
    stored = memoryview(content)[start + 8 : start + 8 + length]
    if size > _MAX_CHUNK_BYTES:
        raise ValueError(f"it claims to have {size} bytes")
    data: Buffer = stored
    if compression == "zstd" and size:
        with zstandard.ZstdDecompressor().stream_reader(stored, read_across_frames=True) as reader:
            data = reader.read(size)
    elif compression == "lz4":
        data = lz4.frame.LZ4FrameDecompressor().decompress(stored, max_length=size)
    elif compression not in ("", "zstd"):
        raise ValueError(f"its compression {quoted(compression)} is neither zstd nor lz4")
    if len(data) != size:
        raise ValueError(f"it has {len(data)} instead of {size} bytes")
    if crc and zlib.crc32(data) != crc:
        raise ValueError("its checksum is wrong")
    return data


def indexed_entries(index: Buffer, data: Buffer, channels: Collection[int]) -> list[Entry]:
    """Return the messages of some channels in a chunk, by the message indexes that follow it in the file.

    Raises ValueError or struct.error where an index does not fit the chunk.
    """
    entries = []
    for opcode, start, end in records(index):
        if opcode != MESSAGE_INDEX:
            continue
        channel, length = _INDEX_START.unpack_from(index, start)
        start += _INDEX_START.size
        if channel not in channels:
            continue
        if start + length > end:
            raise ValueError("an index is longer than its record")
        for time_ns, offset in _INDEX_ENTRY.iter_unpack(index[start : start + length]):
            kind, size, other, _, log_time = _MESSAGE_RECORD.unpack_from(data, offset)
            stop = offset + HEADER.size + size
            if (kind, other, log_time) != (MESSAGE, channel, time_ns) or stop > len(data):
                raise ValueError("an index names a place without its message")
            entries.append((time_ns, offset + _DATA_OFFSET, stop, channel))
    return entries


def walked_entries(data: Buffer, channels: Collection[int] | None = None) -> list[Entry]:
    """Return the messages of some channels, or of all for None, without an index. Raises as `records`."""
    entries = []
    for opcode, start, end in records(data):
        if opcode == MESSAGE:
            channel, _, time_ns, _ = MESSAGE_START.unpack_from(data, start)
            if channels is None or channel in channels:
                entries.append((time_ns, start + MESSAGE_START.size, end, channel))
    return entries
