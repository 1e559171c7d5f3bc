# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Reads the messages of MCAP files in the order of their times, also of files that are cut off or damaged."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from mcap.records import Channel as McapChannel

from zs_seg_ros.bags import mcap_records as mcap
from zs_seg_ros.bags.mcap_index import Part, lost_chunk, read_index
from zs_seg_ros.bags.storage import Channel, StoredMessage, readable_qos

_LOADED_BYTES = 2**27
"""The decompressed chunks that are held at a time; more only where a single one is larger."""


class McapFile:
    """An MCAP file of any writer; see `Storage`. Each iteration opens the file anew."""

    def __init__(self, path: Path) -> None:
        """Read the summary, or the whole file where it has none. Raises BagError for a file that is no MCAP."""
        self._path = path
        self._index = read_index(path)
        parts = self._index.parts = sorted(self._index.parts, key=lambda p: (p.first_ns, p.offset))
        holding = [part for part in parts if part.count]
        self.start_ns = min((part.first_ns for part in holding), default=None)
        self.end_ns = max((part.last_ns for part in holding), default=None)
        self.channels = tuple(self._channel(c) for c in self._index.channels.values())
        self.extras = tuple(self._index.extras)
        self._lost: dict[int, str] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about what is lost; those about damaged chunks come when the chunks are read."""
        return (*self._index.warnings, *self._lost.values())

    def messages(
        self, topics: Collection[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[StoredMessage]:
        """Yield messages as `Storage` describes; a damaged chunk is left out, with a warning."""
        channels = {c.id: c.topic for c in self._index.channels.values() if c.topic in topics}
        first_ns = 0 if start_ns is None else start_ns
        with self._path.open("rb") as file:
            chunks = _OpenChunks(file, channels)
            for part in self._index.parts:
                if stop_ns is not None and part.first_ns >= stop_ns:
                    break
                if part.last_ns < first_ns or part.channels.isdisjoint(channels):
                    continue
                yield from chunks.messages_before(part.first_ns)
                try:
                    chunks.open(part, first_ns, stop_ns)
                except Exception as error:  # errors of struct, lz4 and zstandard
                    self._lost[part.offset] = lost_chunk(self._path, part, error)
            yield from chunks.messages_before(None)

    def close(self) -> None:
        """Do nothing: no file is held open."""

    def _channel(self, channel: McapChannel) -> Channel:
        schema = self._index.schemas.get(channel.schema_id)
        return Channel(
            channel.topic,
            schema.name if schema is not None else "",
            self._index.counts[channel.id],
            _text(schema.data) if schema is not None else "",
            schema.encoding if schema is not None else "",
            channel.metadata.get("topic_type_hash", ""),
            channel.message_encoding,
            readable_qos(channel.metadata.get("offered_qos_profiles", "")),
        )


class _OpenChunks:
    """Merges the messages of chunks whose times overlap. Chunks that do not fit in memory are read again."""

    def __init__(self, file: BinaryIO, channels: dict[int, str]) -> None:
        self._file = file
        self._channels = channels
        self._heap: list[tuple[int, int, int, Part, list[mcap.Entry]]] = []
        self._loaded: OrderedDict[int, mcap.Buffer] = OrderedDict()

    def open(self, part: Part, start_ns: int, stop_ns: int | None) -> None:
        """Add a chunk. Raises what `chunk_data` raises for a damaged one."""
        data, index = self._read(part)
        try:
            if not index:
                raise ValueError("without an index")
            entries = mcap.indexed_entries(index, data, self._channels)
        except Exception:  # an index that does not fit: errors of struct, or ValueError
            entries = mcap.walked_entries(data, self._channels)
        if part.first_ns < start_ns or (stop_ns is not None and part.last_ns >= stop_ns):
            entries = [
                e for e in entries if e[0] >= start_ns and (stop_ns is None or e[0] < stop_ns)
            ]
        if entries:
            entries.sort()
            self._keep(part.offset, data)
            heapq.heappush(self._heap, (entries[0][0], part.offset, 0, part, entries))

    def messages_before(self, time_ns: int | None) -> Iterator[StoredMessage]:
        """Yield the messages of all open chunks before a time, or all for None, and close finished chunks."""
        heap = self._heap
        while heap and (time_ns is None or heap[0][0] < time_ns):
            _, offset, number, part, entries = heap[0]
            recorded_ns, start, end, channel = entries[number]
            yield self._channels[channel], recorded_ns, bytes(self._data(part)[start:end])
            if number + 1 < len(entries):
                later_ns = entries[number + 1][0]
                heapq.heapreplace(heap, (later_ns, offset, number + 1, part, entries))
            else:
                heapq.heappop(heap)
                self._loaded.pop(offset, None)

    def _data(self, part: Part) -> mcap.Buffer:
        data = self._loaded.get(part.offset)
        if data is None:
            data, _ = self._read(part)
            self._keep(part.offset, data)
        return data

    def _keep(self, offset: int, data: mcap.Buffer) -> None:
        """Hold a chunk; drop those that were read the longest ago where they are too many."""
        self._loaded[offset] = data
        size = sum(len(other) for other in self._loaded.values())
        while size > _LOADED_BYTES and len(self._loaded) > 1:
            _, dropped = self._loaded.popitem(last=False)
            size -= len(dropped)

    def _read(self, part: Part) -> tuple[mcap.Buffer, mcap.Buffer]:
        """Return the records of a part, and its message indexes. Raises what `chunk_data` raises."""
        self._file.seek(part.offset)
        content = memoryview(self._file.read(part.length + part.index_length))
        if not part.is_chunk:
            return content, b""
        opcode, length = mcap.HEADER.unpack_from(content)
        if opcode != mcap.CHUNK or mcap.HEADER.size + length != part.length:
            raise ValueError("there is no chunk")
        return mcap.chunk_data(content[mcap.HEADER.size : part.length]), content[part.length :]


def _text(definition: bytes) -> str:
    """Return the text of a definition; empty for one that is no text, such as that of protobuf."""
    try:
        return definition.decode()
    except UnicodeDecodeError:
        return ""
