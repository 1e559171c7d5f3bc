# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Indexes of MCAP files: read from the summary at the end or, where that is missing, from one pass over the file."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from mcap.data_stream import ReadDataStream
from mcap.records import Channel, Schema, Statistics

from zs_seg_ros.bags import mcap_records as mcap
from zs_seg_ros.errors import BagError

_FOOTER = struct.Struct("<BQQQI")  # opcode, length, start of summary, of its offsets, CRC
_CHUNK_INDEX = struct.Struct(
    "<QQQQI"
)  # first, last time, offset, length, size of the map that follows
_MAP_ENTRY = struct.Struct("<HQ")
_INDEX_OVERHEAD = 15  # bytes of a message index besides 16 for each message
_RUN_BYTES = 2**20
_OWN_METADATA = "rosbag2"
"""The name of the metadata record in which rosbag2 repeats metadata.yaml."""
_NAME_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Part:
    """A chunk, or a run of messages outside of chunks.

    offset, length: its bytes in the file. index_length: bytes of the message indexes that follow a chunk; 0 without.
    """

    offset: int
    length: int
    index_length: int
    is_chunk: bool
    first_ns: int
    last_ns: int
    count: int
    channels: frozenset[int]


@dataclass
class McapIndex:
    """Where the messages of a file are. Takes about 400 bytes for each chunk, or each megabyte without chunks.

    extras: attachments and metadata records, in words. warnings: sentences about what is lost.
    """

    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    counts: Counter[int] = field(default_factory=Counter)
    parts: list[Part] = field(default_factory=list)
    extras: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._sets: dict[frozenset[int], frozenset[int]] = {}

    def add_part(self, part: Part) -> None:
        """Add a part. Equal sets of channels are kept once."""
        shared = self._sets.setdefault(part.channels, part.channels)
        self.parts.append(replace(part, channels=shared))

    def add_description(self, opcode: int, content: mcap.Buffer) -> None:
        """Add a schema, a channel, an attachment or a metadata record; ignore other records."""
        stream = ReadDataStream(BytesIO(content))
        if opcode == mcap.SCHEMA:
            schema = Schema.read(stream)
            self.schemas[schema.id] = schema
        elif opcode == mcap.CHANNEL:
            channel = Channel.read(stream)
            self.channels[channel.id] = channel
        elif opcode == mcap.ATTACHMENT:
            self.extras.append(f"the attachment {mcap.text_at(content, 16)}")
        elif opcode == mcap.ATTACHMENT_INDEX:
            self.extras.append(f"the attachment {mcap.text_at(content, 40)}")
        elif opcode in (mcap.METADATA, mcap.METADATA_INDEX):
            name = mcap.text_at(content, 0 if opcode == mcap.METADATA else 16)
            if name != _OWN_METADATA:
                self.extras.append(f"the metadata record {name}")


def read_index(path: Path) -> McapIndex:
    """Return the index of a file. Raises BagError for a file that is no MCAP."""
    with path.open("rb") as file:
        if file.read(len(mcap.MAGIC)) != mcap.MAGIC:
            raise BagError(f"{path} is no MCAP file: it does not start with the bytes of MCAP")
        size = file.seek(0, 2)
        try:
            index = _from_summary(file, size)
        except Exception:  # cut off or damaged: errors of struct, mcap and text
            index = None
        return index or _Scan(path, file, size).index


def lost_chunk(path: Path, part: Part, reason: object) -> str:
    """Return the warning about a chunk that cannot be read."""
    messages = f"{part.count} messages" if part.count else "an unknown number of messages"
    return (
        f"{path} is damaged: the chunk at byte {part.offset} cannot be read ({reason}); {messages} of "
        f"{(part.last_ns - part.first_ns) / 1e9:.3f} s, from {part.first_ns} ns on, are lost"
    )


def _from_summary(file: BinaryIO, size: int) -> McapIndex | None:
    """Return the index by the summary; None where it is missing or incomplete."""
    tail = _FOOTER.size + len(mcap.MAGIC)
    file.seek(size - tail)
    end = file.read(tail)
    opcode, _, start, _, crc = _FOOTER.unpack_from(end)
    if opcode != mcap.FOOTER or not end.endswith(mcap.MAGIC) or not 0 < start <= size - tail:
        return None
    file.seek(start)
    summary = file.read(size - tail - start)
    if crc and zlib.crc32(end[: _FOOTER.size - 4], zlib.crc32(summary)) != crc:
        return None
    index, statistics = McapIndex(), None
    for opcode, first, last in mcap.records(summary):
        content = memoryview(summary)[first:last]
        if opcode == mcap.CHUNK_INDEX:
            index.add_part(_chunk(content))
        elif opcode == mcap.STATISTICS:
            statistics = Statistics.read(ReadDataStream(BytesIO(content)))
        else:
            index.add_description(opcode, content)
    if statistics is None or not _is_complete(index, statistics, start):
        return None
    index.counts.update(statistics.channel_message_counts)
    return index


def _chunk(content: mcap.Buffer) -> Part:
    """Return the chunk that a chunk index describes; its number of messages follows from the size of its indexes."""
    first_ns, last_ns, offset, length, size = _CHUNK_INDEX.unpack_from(content)
    start = _CHUNK_INDEX.size
    offsets = dict(_MAP_ENTRY.iter_unpack(content[start : start + size]))
    (index_length,) = struct.unpack_from("<Q", content, start + size)
    count = max(index_length - _INDEX_OVERHEAD * len(offsets), 0) // 16 if offsets else 0
    return Part(offset, length, index_length, True, first_ns, last_ns, count, frozenset(offsets))


def _is_complete(index: McapIndex, statistics: Statistics, data_end: int) -> bool:
    """Return whether all messages can be found and named by the summary."""
    used = [index.channels.get(number) for number in statistics.channel_message_counts]
    return (
        sum(part.count for part in index.parts) == statistics.message_count
        and statistics.message_count == sum(statistics.channel_message_counts.values())
        and all(c is not None and (c.schema_id in (0, *index.schemas)) for c in used)
        and all(p.offset + p.length + p.index_length <= data_end for p in index.parts)
    )


class _Scan:
    """Reads a whole file, which must be an MCAP, up to its end, its cut or its damage."""

    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self._path, self._file = path, file
        self.index = McapIndex()
        self._run: list[tuple[int, int, int, int]] = []  # start, end, time, channel
        self._lost: Part | None = None
        self._lost_reason: Exception | None = None
        end, whole = len(mcap.MAGIC), False
        try:
            while not whole and end < size:
                end, whole = self._record(end, size)
        except Exception as error:  # at the cut: errors of struct, mcap and text
            self._cut = error
        self._end_part()
        unnamed = set(self.index.counts) - set(self.index.channels)
        if unnamed:
            number = sum(self.index.counts.pop(channel) for channel in unnamed)
            self.index.warnings.append(
                f"{path} is damaged: {number} messages belong to channels without a description and are lost"
            )
        if not whole:
            lost = "the rest is lost" if end < size else "it was not closed, as after a crash"
            self.index.warnings.append(
                f"{path} is cut off or damaged after {end} of {size} bytes: "
                f"{self.index.counts.total()} messages before that are read, {lost}"
            )

    def _record(self, position: int, size: int) -> tuple[int, bool]:
        """Read the record at a position. Return its end, and whether it is the last one."""
        self._file.seek(position)
        opcode, length = mcap.HEADER.unpack(self._file.read(mcap.HEADER.size))
        end = position + mcap.HEADER.size + length
        if opcode == 0 or end > size:
            raise ValueError("this is no record")
        if opcode == mcap.MESSAGE:
            content = self._file.read(mcap.MESSAGE_START.size)
            channel, _, time_ns, _ = mcap.MESSAGE_START.unpack(content)
            self._add_to_run(position, end, time_ns, channel)
            return end, False
        if opcode == mcap.MESSAGE_INDEX and self._lost is not None:
            count = (length - _INDEX_OVERHEAD + mcap.HEADER.size) // 16
            self._lost = replace(self._lost, count=self._lost.count + count)
            return end, False
        self._end_part()
        if opcode == mcap.CHUNK:
            self._add_chunk(position, self._file.read(length))
        elif opcode in (mcap.SCHEMA, mcap.CHANNEL):
            self.index.add_description(opcode, self._file.read(length))
        elif opcode in (mcap.ATTACHMENT, mcap.METADATA):
            self.index.add_description(opcode, self._file.read(min(length, _NAME_BYTES)))
        return end, opcode == mcap.FOOTER

    def _add_chunk(self, position: int, content: bytes) -> None:
        length = mcap.HEADER.size + len(content)
        try:
            data = mcap.chunk_data(content)
            for opcode, start, end in mcap.records(data):
                if opcode in (mcap.SCHEMA, mcap.CHANNEL):
                    self.index.add_description(opcode, data[start:end])
            entries = mcap.walked_entries(data)
        except Exception as error:  # errors of struct, mcap, lz4 and zstandard
            first_ns, last_ns = mcap.chunk_times(content)
            self._lost = Part(position, length, 0, True, first_ns, last_ns, 0, frozenset())
            self._lost_reason = error
            return
        if entries:
            times = [entry[0] for entry in entries]
            counts = Counter(entry[3] for entry in entries)
            self.index.counts.update(counts)
            first_ns, last_ns = min(times), max(times)
            self.index.add_part(
                Part(position, length, 0, True, first_ns, last_ns, len(times), frozenset(counts))
            )

    def _add_to_run(self, start: int, end: int, time_ns: int, channel: int) -> None:
        self.index.counts[channel] += 1
        self._run.append((start, end, time_ns, channel))
        if end - self._run[0][0] > _RUN_BYTES:
            self._end_part()

    def _end_part(self) -> None:
        """Add the run of messages that ends here, or report the lost chunk."""
        if self._run:
            start, end = self._run[0][0], self._run[-1][1]
            times = [time_ns for _, _, time_ns, _ in self._run]
            channels = frozenset(channel for _, _, _, channel in self._run)
            number = len(times)
            self.index.add_part(
                Part(start, end - start, 0, False, min(times), max(times), number, channels)
            )
            self._run = []
        if self._lost is not None:
            self.index.warnings.append(lost_chunk(self._path, self._lost, self._lost_reason))
            self._lost = None
