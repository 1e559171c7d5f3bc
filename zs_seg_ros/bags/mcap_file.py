"""Reads MCAP files: indexed ones by their index, cut-off ones record by record up to the cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from mcap.reader import make_reader
from mcap.records import Channel as McapChannel
from mcap.records import Chunk, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk

from zs_seg_ros.bags.storage import Channel, StoredMessage, readable_qos
from zs_seg_ros.errors import BagError

MAGIC = b"\x89MCAP0\r\n"


class McapFile:
    """An MCAP file of any writer; see `Storage`. Each iteration opens the file anew."""

    def __init__(self, path: Path) -> None:
        """Read the summary, or the whole file where it has none. Raises BagError for a file that is no MCAP."""
        self._path = path
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, McapChannel] = {}
        self._counts: Counter[int] = Counter()
        self.start_ns: int | None = None
        self.end_ns: int | None = None
        self.warnings: tuple[str, ...] = ()
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise BagError(f"{path} is no MCAP file: it does not start with the bytes of MCAP")
        self._indexed = self._read_summary()
        if not self._indexed:
            self._scan()
        self.channels = tuple(self._channel(c) for c in self._channels.values())

    def messages(
        self, topics: Collection[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[StoredMessage]:
        """Yield messages as `Storage` describes; those of an unindexed file are sorted within their chunks only."""
        if not self._indexed:
            ids = {c.id: c.topic for c in self._channels.values() if c.topic in topics}
            for message in self._stream():
                if message.channel_id in ids and _inside(message.log_time, start_ns, stop_ns):
                    yield ids[message.channel_id], message.log_time, message.data
            return
        with self._path.open("rb") as file:
            reader = make_reader(file)
            for _, channel, message in reader.iter_messages(
                set(topics), starting_at=start_ns, ending_before=stop_ns
            ):
                yield channel.topic, message.log_time, message.data

    def close(self) -> None:
        """Do nothing: no file is held open."""

    def _read_summary(self) -> bool:
        """Read channels and counts from the summary. Return False where the file must be read as a stream."""
        try:
            with self._path.open("rb") as file:
                summary = make_reader(file).get_summary()
        except Exception:  # cut off or damaged: errors of mcap and struct
            return False
        statistics = summary.statistics if summary is not None else None
        if summary is None or statistics is None:
            return False
        if statistics.message_count and not (summary.chunk_indexes and summary.channels):
            return False
        self._schemas, self._channels = summary.schemas, summary.channels
        self._counts.update(statistics.channel_message_counts)
        if statistics.message_count:
            self.start_ns = statistics.message_start_time
            self.end_ns = statistics.message_end_time
        return True

    def _scan(self) -> None:
        """Read the whole file for its channels, counts and times, and note where it is cut off."""
        for message in self._stream():
            self._counts[message.channel_id] += 1
            time_ns = message.log_time
            self.start_ns = time_ns if self.start_ns is None else min(self.start_ns, time_ns)
            self.end_ns = time_ns if self.end_ns is None else max(self.end_ns, time_ns)
        size = self._path.stat().st_size
        if self._readable_bytes < size:
            self.warnings = (
                f"{self._path} is cut off or damaged after {self._readable_bytes} of {size} bytes: "
                f"{self._counts.total()} messages before that are read, the rest is lost",
            )

    def _stream(self) -> Iterator[Message]:
        """Yield all messages up to the end or the cut."""
        with self._path.open("rb") as file:
            size = self._path.stat().st_size
            self._readable_bytes = len(MAGIC)
            try:
                reader = StreamReader(file, emit_chunks=True, record_size_limit=size)
                for record in reader.records:
                    yield from self._messages_of(record)
                    self._readable_bytes = file.tell()
            except GeneratorExit:
                raise
            except Exception:  # at the cut: errors of mcap, struct, lz4 and zstd
                return
            self._readable_bytes = size

    def _messages_of(self, record: Any) -> list[Message]:
        if isinstance(record, Chunk):
            records = breakup_chunk(record)
            messages = [message for r in records for message in self._messages_of(r)]
            return sorted(messages, key=lambda message: message.log_time)
        if isinstance(record, Schema):
            self._schemas[record.id] = record
        elif isinstance(record, McapChannel):
            self._channels[record.id] = record
        return [record] if isinstance(record, Message) else []

    def _channel(self, channel: McapChannel) -> Channel:
        schema = self._schemas.get(channel.schema_id)
        return Channel(
            channel.topic,
            schema.name if schema is not None else "",
            self._counts[channel.id],
            _text(schema.data) if schema is not None else "",
            schema.encoding if schema is not None else "",
            channel.metadata.get("topic_type_hash", ""),
            channel.message_encoding,
            readable_qos(channel.metadata.get("offered_qos_profiles", "")),
        )


def _inside(time_ns: int, start_ns: int | None, stop_ns: int | None) -> bool:
    return (start_ns is None or time_ns >= start_ns) and (stop_ns is None or time_ns < stop_ns)


def _text(definition: bytes) -> str:
    """Return the text of a definition; empty for one that is no text, such as that of protobuf."""
    try:
        return definition.decode()
    except UnicodeDecodeError:
        return ""
