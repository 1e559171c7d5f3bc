# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures how this package reads three of the thirty topics of a large recording, against rosbags' AnyReader.

    python benchmarks/bag_reading.py [--megabytes 500] [--rounds 5]

The recording is written into a temporary folder: chunked MCAP without and with compression, and SQLite. Both readers
take turns, each time in a process of its own, and only the reading is timed. Printed are the medians, their ratio,
and the peaks of resident memory; for this package also those of a recording of a tenth of the size.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

TOPICS, REQUESTED = 30, (3, 11, 29)
IMAGE_BYTES, SMALL_BYTES = 200_000, 2_000
IMAGE_TOPICS = 10
TYPE = "std_msgs/msg/ByteMultiArray"
READERS = ("zs_seg_ros", "rosbags")
KINDS = ("mcap", "mcap, zstd", "sqlite3")
GOAL = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(*options.child)))
        return 0
    print("| recording | zs_seg_ros | rosbags | time ratio | peak memory | of a tenth | rosbags' |")
    print("|---|---|---|---|---|---|---|")
    worst = 0.0
    with tempfile.TemporaryDirectory() as name:
        for kind in options.kinds:
            worst = max(worst, compare(Path(name), kind, options.megabytes, options.rounds))
    print(f"\nworst time ratio {worst:.2f}, goal at most {GOAL}")
    return int(worst > GOAL)


def compare(folder: Path, kind: str, megabytes: int, rounds: int) -> float:
    """Print the row of a kind of recording, and return the ratio of the times."""
    path = write(folder / kind.replace(", ", "_"), kind, megabytes * 1_000_000)
    small = write(folder / f"{path.stem}_small", kind, megabytes * 100_000)
    results: dict[str, list[tuple[float, float, int]]] = {reader: [] for reader in READERS}
    for number in range(rounds):
        for reader in READERS if number % 2 == 0 else READERS[::-1]:
            results[reader].append(run(reader, path))
    if len({result[2] for of_reader in results.values() for result in of_reader}) != 1:
        raise SystemExit("the readers have not read the same")
    times = [statistics.median(r[0] for r in results[reader]) for reader in READERS]
    memory = [max(r[1] for r in results[reader]) for reader in READERS]
    _, of_small, _ = run(READERS[0], small)
    print(
        f"| {kind} | {times[0]:.3f} s | {times[1]:.3f} s | {times[0] / times[1]:.2f} | {memory[0]:.0f} MB | "
        f"{of_small:.0f} MB | {memory[1]:.0f} MB |"
    )
    return times[0] / times[1]


def run(reader: str, path: Path) -> tuple[float, float, int]:
    """Read in a new process. Return seconds, the peak of resident memory in MB, and the bytes of the messages."""
    command = [sys.executable, __file__, "--child", reader, str(path)]
    child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds, peak_mb, size = json.loads(child.stdout)
    return seconds, peak_mb, size


def measure(reader: str, name: str) -> tuple[float, float, int]:
    """Read the requested topics in this process; see `run`."""
    topics = {f"/topic_{number}" for number in REQUESTED}
    read = read_ours if reader == READERS[0] else read_theirs
    return read(Path(name), topics)


def read_ours(path: Path, topics: set[str]) -> tuple[float, float, int]:
    from zs_seg_ros.bags.bag import Bag  # what is imported is not timed

    start = time.perf_counter()
    with Bag(path) as bag:
        size = sum(len(message.serialised) for message in bag.messages(topics))
    return time.perf_counter() - start, peak_mb(), size


def read_theirs(path: Path, topics: set[str]) -> tuple[float, float, int]:
    from rosbags.highlevel import AnyReader

    start = time.perf_counter()
    with AnyReader([path]) as reader:
        requested = [c for c in reader.connections if c.topic in topics]
        size = sum(len(data) for _, _, data in reader.messages(requested))
    return time.perf_counter() - start, peak_mb(), size


def peak_mb() -> float:
    """Return the peak of the resident memory of this process, without that of the one that started it."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1000
    raise SystemExit("this benchmark needs Linux")


def write(folder: Path, kind: str, size: int) -> Path:
    """Write a recording of about `size` bytes: images on ten topics, and small messages on twenty others.

    Return its only file.
    """
    from mcap.writer import CompressionType, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    definition, _ = store.generate_msgdef(TYPE, ros_version=2)
    type_hash = store.hash_rihs01(TYPE)
    if kind == "sqlite3":
        from rosbags.rosbag2 import StoragePlugin
        from rosbags.rosbag2 import Writer as RosbagsWriter

        with RosbagsWriter(folder, version=8, storage_plugin=StoragePlugin.SQLITE3) as bag:
            connections = [
                bag.add_connection(f"/topic_{n}", TYPE, msgdef=definition, rihs01=type_hash)
                for n in range(TOPICS)
            ]
            for number, time_ns, data in messages(size):
                bag.write(connections[number], time_ns, data)
        return folder / f"{folder.name}.db3"
    compression = CompressionType.ZSTD if kind.endswith("zstd") else CompressionType.NONE
    folder.mkdir()
    path = folder / f"{folder.name}.mcap"
    with path.open("wb") as file:
        writer = Writer(file, 768 * 1024, compression)  # the size of rosbag2's chunks
        writer.start("ros2", "bag_reading")
        schema = writer.register_schema(TYPE, "ros2msg", definition.encode())
        channels = [
            writer.register_channel(f"/topic_{n}", "cdr", schema, {"topic_type_hash": type_hash})
            for n in range(TOPICS)
        ]
        for number, time_ns, data in messages(size):
            writer.add_message(channels[number], time_ns, data, time_ns)
        writer.finish()  # type: ignore[no-untyped-call]
    return path


def messages(size: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield the number of the topic, the time in ns and the message; images are half noise, half one value."""
    generator = np.random.default_rng(1)
    noise = generator.integers(0, 256, IMAGE_BYTES // 2, np.uint8).tobytes()
    image = b"\0\1\0\0" + noise + bytes(IMAGE_BYTES // 2)
    written, time_ns = 0, 1_700_000_000_000_000_000
    while written < size:
        for number in range(TOPICS):
            count, data = (1, image) if number < IMAGE_TOPICS else (10, image[:SMALL_BYTES])
            for _ in range(count):
                time_ns += 100_000
                yield number, time_ns, data
                written += len(data)


if __name__ == "__main__":
    sys.exit(main())
