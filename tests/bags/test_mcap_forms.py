# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""MCAP files of all writers: with and without an index, damaged in the middle, and in unusual orders."""

from __future__ import annotations

import random
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import mcap_files
import pytest
from foreign_bags import TEXT, Message, text, write_mcap
from mcap.writer import CompressionType, IndexType, Writer
from mcap_files import chunk, end, header, message, message_index, schema
from rosbags.highlevel import AnyReader

from zs_seg_ros.bags import mcap_file
from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.errors import BagError

COUNT = 60
TIMES = [5000 + 10 * n for n in range(COUNT)]
SCHEMA = schema(1, "std_msgs/msg/String", b"string data\n")
CHANNEL = mcap_files.channel(1, 1, "/text")


def messages(numbers: range) -> bytes:
    return b"".join(message(1, TIMES[n], text(f"number {n}")) for n in numbers)


def read(bag: Bag, *limits: int) -> list[int]:
    """Return the numbers in the messages of the topic /text."""
    return [int(m.content.data.split()[1]) for m in bag.messages(["/text"], *limits)]


def shuffled(numbers: range, seed: int) -> list[int]:
    order = list(numbers)
    random.Random(seed).shuffle(order)
    return order


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("spread", [COUNT, 9])
def test_messages_that_were_recorded_out_of_order_come_in_the_order_of_their_times(
    tmp_path: Path, indexed: bool, chunked: bool, spread: int
) -> None:
    numbers: list[int] = []
    for first in range(0, COUNT, spread):
        numbers += shuffled(range(first, min(first + spread, COUNT)), first)
    recorded: list[Message] = [(TEXT, TIMES[n], text(f"number {n}")) for n in numbers]
    path = write_mcap(tmp_path / "lone.mcap", recorded, indexed=indexed, chunked=chunked)
    with Bag(path) as bag:
        assert read(bag) == list(range(COUNT))
        assert read(bag, TIMES[17], TIMES[43]) == list(range(17, 43))
        assert (bag.start_ns, bag.duration_ns) == (TIMES[0], TIMES[-1] - TIMES[0])


def test_messages_of_the_same_time_keep_the_order_of_the_file(tmp_path: Path) -> None:
    recorded: list[Message] = [(TEXT, 7000, text(f"number {n}")) for n in range(COUNT)]
    for indexed in (True, False):
        path = write_mcap(tmp_path / f"{indexed}.mcap", recorded, indexed=indexed)
        with Bag(path) as bag:
            assert read(bag) == list(range(COUNT))


def test_chunks_that_overlap_are_read_again_where_they_do_not_fit_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = shuffled(range(COUNT), 3)
    recorded: list[Message] = [(TEXT, TIMES[n], text(f"number {n}")) for n in numbers]
    path = write_mcap(tmp_path / "lone.mcap", recorded, chunk_size=100)
    monkeypatch.setattr(mcap_file, "_LOADED_BYTES", 500)
    with Bag(path) as bag:
        assert read(bag) == list(range(COUNT))


@pytest.mark.parametrize("compression", list(CompressionType))
def test_every_compression_is_read(tmp_path: Path, compression: CompressionType) -> None:
    path = tmp_path / "lone.mcap"
    with path.open("wb") as file:
        writer = Writer(file, 200, compression)
        writer.start("", "tests")
        number = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data\n")
        channel = writer.register_channel("/text", "cdr", number)
        for n in range(COUNT):
            writer.add_message(channel, TIMES[n], text(f"number {n}"), TIMES[n])
        writer.finish()
    with Bag(path) as bag:
        assert read(bag) == list(range(COUNT))
        assert bag.warnings == ()


@pytest.mark.parametrize(
    "options",
    [
        {"use_summary_offsets": False},
        {"index_types": IndexType.NONE},
        {"index_types": IndexType.CHUNK},
        {"index_types": IndexType.MESSAGE},
        {"use_statistics": False},
        {"repeat_channels": False},
        {"repeat_schemas": False},
        {"enable_crcs": False},
        {"use_chunking": False},
        {"use_chunking": False, "use_statistics": False, "use_summary_offsets": False},
    ],
    ids=str,
)
def test_the_summary_may_lack_any_of_its_parts(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "lone.mcap"
    with path.open("wb") as file:
        writer = Writer(file, 200, **options)  # type: ignore[arg-type]
        writer.start("ros2", "tests")
        number = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data\n")
        channel = writer.register_channel("/text", "cdr", number)
        other = writer.register_channel("/other", "cdr", number)
        for n in range(COUNT):
            writer.add_message(other, TIMES[n], text("other"), TIMES[n])
            writer.add_message(channel, TIMES[n], text(f"number {n}"), TIMES[n])
        writer.finish()
    with Bag(path) as bag:
        assert read(bag) == list(range(COUNT))
        assert read(bag, TIMES[5], TIMES[8]) == [5, 6, 7]
        assert bag.topics["/text"].message_count == bag.topics["/other"].message_count == COUNT
        assert bag.warnings == ()


def _schema_after_messages(path: Path) -> None:
    path.write_bytes(header() + CHANNEL + messages(range(COUNT)) + SCHEMA + end())


def _descriptions_in_the_summary_alone(path: Path) -> None:
    data = header() + messages(range(COUNT))
    path.write_bytes(data + end(SCHEMA + CHANNEL, len(data) + 13))


def _chunks_and_loose_messages(path: Path) -> None:
    first = chunk(SCHEMA + CHANNEL + messages(range(20)), TIMES[0], TIMES[19], "zstd")
    last = chunk(messages(range(40, COUNT)), TIMES[40], TIMES[-1], "lz4")
    path.write_bytes(header() + last + first + messages(range(20, 40)) + end())


def _private_records(path: Path) -> None:
    private = mcap_files.record(0x91, b"of another program")
    data = header() + private + SCHEMA + CHANNEL + messages(range(30)) + private
    path.write_bytes(data + messages(range(30, COUNT)) + end())


def _wrong_message_index(path: Path) -> None:
    """Name places in the chunk that are no messages, and a place beyond its end."""
    data = chunk(SCHEMA + CHANNEL + messages(range(COUNT)), TIMES[0], TIMES[-1])
    wrong = message_index(1, [(TIMES[0], 3), (TIMES[1], 10**9)])
    path.write_bytes(header() + data + wrong + end())


@pytest.mark.parametrize(
    "write",
    [
        _schema_after_messages,
        _descriptions_in_the_summary_alone,
        _chunks_and_loose_messages,
        _private_records,
        _wrong_message_index,
    ],
)
def test_unusual_orders_of_records_are_read(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "lone.mcap")
    with Bag(tmp_path / "lone.mcap") as bag:
        assert read(bag) == list(range(COUNT))
        assert bag.warnings == ()


def test_a_channel_without_a_schema_does_not_disturb_the_others(tmp_path: Path) -> None:
    loose = mcap_files.channel(2, 0, "/untyped") + message(2, 1, b"\0\1\0\0data")
    path = tmp_path / "lone.mcap"
    path.write_bytes(header() + SCHEMA + CHANNEL + loose + messages(range(COUNT)) + end())
    with Bag(path) as bag:
        assert read(bag) == list(range(COUNT))
        (untyped,) = bag.messages(["/untyped"])
        assert untyped.serialised == b"\0\1\0\0data"
        with pytest.raises(BagError, match="/untyped cannot be read: it has no message type"):
            _ = untyped.content


def _lost(bag: Bag) -> list[int]:
    """Return how many messages each warning about a chunk calls lost."""
    return [int(re.search(r"; (\d+) messages of", warning)[1]) for warning in bag.warnings]  # type: ignore[index]


@pytest.mark.parametrize("damage", ["data", "header"])
@pytest.mark.parametrize("place", [0, 2, -1])
def test_a_damaged_chunk_is_skipped_and_the_rest_is_read(
    tmp_path: Path, damage: str, place: int
) -> None:
    recorded: list[Message] = [(TEXT, TIMES[n], text(f"number {n}")) for n in range(COUNT)]
    path = write_mcap(tmp_path / "lone.mcap", recorded)
    position, length = mcap_files.chunk_offsets(path)[place]
    start = position + length // 2 if damage == "data" else position
    mcap_files.overwrite(path, start, b"\x77" * 12)
    with Bag(path) as bag:
        numbers = read(bag)
        (number,) = _lost(bag)
        assert number == COUNT - len(numbers) > 0
        assert numbers == sorted(set(numbers))
        assert read(bag) == numbers
        assert len(bag.warnings) == 1
        assert bag.new_warnings() == bag.warnings
        assert bag.new_warnings() == ()


@pytest.mark.parametrize("crc", [7, None])
def test_a_damaged_chunk_of_a_file_without_an_index_is_reported_when_it_is_opened(
    tmp_path: Path, crc: int | None
) -> None:
    path = tmp_path / "lone.mcap"
    first = chunk(SCHEMA + CHANNEL + messages(range(20)), TIMES[0], TIMES[19])
    middle = chunk(messages(range(20, 40)), TIMES[20], TIMES[39], "zstd", crc)
    index = message_index(1, [(TIMES[n], 0) for n in range(20, 40)])
    last = chunk(messages(range(40, COUNT)), TIMES[40], TIMES[59])
    path.write_bytes(header() + first + middle + index + last)
    if crc is None:
        mcap_files.overwrite(path, len(header() + first) + 90, b"\0\0\0\0\0\0")
    with Bag(path) as bag:
        assert read(bag) == [*range(20), *range(40, COUNT)]
        damaged, cut = bag.warnings
        assert "20 messages of 0.000 s, from 5200 ns on, are lost" in damaged
        assert "40 messages before that are read, it was not closed" in cut


@pytest.mark.parametrize("filling", [b"\0", b"\xff"])
def test_what_a_power_cut_leaves_behind_the_last_record_is_a_cut(
    tmp_path: Path, filling: bytes
) -> None:
    path = tmp_path / "lone.mcap"
    path.write_bytes(header() + SCHEMA + CHANNEL + messages(range(COUNT)) + filling * 5000)
    with Bag(path) as bag:
        assert read(bag) == list(range(COUNT))
        (warning,) = bag.warnings
        assert f"{COUNT} messages before that are read, the rest is lost" in warning


def test_a_damaged_summary_is_replaced_by_reading_the_file(tmp_path: Path) -> None:
    recorded: list[Message] = [(TEXT, TIMES[n], text(f"number {n}")) for n in range(COUNT)]
    path = write_mcap(tmp_path / "lone.mcap", recorded)
    size = path.stat().st_size
    mcap_files.overwrite(path, size - 120, b"\x05\x06")
    with Bag(path) as bag:
        assert read(bag) == list(range(COUNT))


def test_messages_of_channels_that_nothing_describes_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "lone.mcap"
    unnamed = b"".join(message(9, 1, b"data") for _ in range(3))
    path.write_bytes(header() + SCHEMA + CHANNEL + unnamed + messages(range(COUNT)) + end())
    with Bag(path) as bag:
        assert read(bag) == list(range(COUNT))
        (warning,) = bag.warnings
        assert "3 messages belong to channels without a description" in warning


def test_attachments_and_metadata_records_are_named(tmp_path: Path) -> None:
    extra = mcap_files.attachment("calibration.yaml", b"k: 1") + mcap_files.metadata("robot")
    own = mcap_files.metadata("rosbag2")
    path = tmp_path / "lone.mcap"
    path.write_bytes(header() + SCHEMA + CHANNEL + extra + own + messages(range(COUNT)) + end())
    with Bag(path) as bag:
        assert bag.extras == ("the attachment calibration.yaml", "the metadata record robot")
        assert read(bag) == list(range(COUNT))
    indexed = tmp_path / "indexed.mcap"
    with indexed.open("wb") as file:
        writer = Writer(file)
        writer.start("ros2", "tests")
        number = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data\n")
        channel = writer.register_channel("/text", "cdr", number)
        writer.add_message(channel, 1, text("number 1"), 1)
        writer.add_attachment(1, 1, "map.png", "image/png", b"png")
        writer.add_metadata("scene", {"weather": "rain"})
        writer.finish()
    with Bag(indexed) as bag:
        assert bag.extras == ("the attachment map.png", "the metadata record scene")
        assert read(bag) == [1]


def test_the_same_messages_are_read_as_by_another_reader(tmp_path: Path) -> None:
    generator = random.Random(11)
    numbers = shuffled(range(COUNT), 5)
    recorded: list[Message] = [
        (TEXT, 1000 * generator.randrange(1, 40), text(f"number {n}")) for n in numbers
    ]
    for chunk_size in (1, 150, 400, 10**6):
        path = write_mcap(tmp_path / f"{chunk_size}.mcap", recorded, chunk_size=chunk_size)
        with Bag(path) as bag, AnyReader([path]) as other:
            ours = [(m.time_ns, m.serialised) for m in bag.messages(None, 9000, 31000)]
            theirs = [(t, bytes(data)) for _, t, data in other.messages(start=9000, stop=31000)]
            assert [t for t, _ in ours] == [t for t, _ in theirs]
            assert sorted(ours) == sorted(theirs)


@pytest.mark.parametrize("indexed", [True, False])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, indexed: bool) -> None:
    peaks = []
    for count in (40, 400):
        payload = text("x" * 50_000)
        recorded: list[Message] = [(TEXT, n, payload) for n in range(count)]
        path = write_mcap(tmp_path / f"{count}.mcap", recorded, chunk_size=200_000, indexed=indexed)
        tracemalloc.start()
        with Bag(path) as bag:
            assert sum(1 for _ in bag.messages()) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
