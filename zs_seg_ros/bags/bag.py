# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Reads bags (rosbag2 folders, and lone MCAP or SQLite files) message by message, without ROS."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import zstandard
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

from zs_seg_ros.bags.channels import merged_channels
from zs_seg_ros.bags.message_types import MessageTypes
from zs_seg_ros.bags.recording_files import open_recording, read_in_order
from zs_seg_ros.bags.storage import Channel
from zs_seg_ros.errors import BagError
from zs_seg_ros.shown import shown

PACKAGE = "zs_seg_ros"
SHIPPED = Path("recordings", "tabletop")
GROUND_TRUTH_FILE = "ground_truth.json"
DEFAULT_DEPTH = 10
"""The history depth of a topic whose depth was not recorded; the same as in rosbag2."""
_INFINITE = QosTime(9223372036, 854775807)


def offered_qos(depth: int = 0, reliable: bool = True, latched: bool = False) -> Qos:
    """Return the offered QoS of a publisher as a bag records it. depth: 0 for unknown, as with most DDS vendors."""
    return Qos(
        history=QosHistory.KEEP_LAST if depth else QosHistory.UNKNOWN,
        depth=depth,
        reliability=QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_INFINITE,
        lifespan=_INFINITE,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_INFINITE,
        avoid_ros_namespace_conventions=False,
    )


@dataclass(frozen=True)
class BagTopic:
    """A topic of a bag, with the QoS to publish it with.

    latched: durability transient local. reliable: False when all its publishers were best effort. depth: the
    history depth; DDS discovery does not carry it, so that most bags have none and DEFAULT_DEPTH is used. encoding: of
    the messages; only those in cdr are ROS 2 messages. message_type: empty for a topic without a type or with several.
    """

    name: str
    message_type: str  # "sensor_msgs/msg/Image"
    message_count: int
    latched: bool
    reliable: bool = True
    depth: int = DEFAULT_DEPTH
    encoding: str = "cdr"


@dataclass(frozen=True, eq=False)
class BagMessage:
    """A recorded message. time_ns: the time of recording. serialised: its CDR, as ROS 2 sends it."""

    topic: BagTopic
    time_ns: int
    serialised: bytes
    _types: MessageTypes

    @cached_property
    def content(self) -> Any:
        """The message with the fields of its ROS type; arrays are numpy arrays. Raises BagError."""
        name, kind = self.topic.name, self.topic.message_type
        if self.topic.encoding != "cdr" or not kind:
            problem = (
                f"its messages are encoded as {self.topic.encoding}, not as cdr"
                if kind
                else "it has no message type, or several"
            )
            raise BagError(f"the topic {name} cannot be read: {problem}")
        try:
            return self._types.deserialise(kind, name, self.serialised)
        except BagError:
            raise
        except (
            Exception
        ) as error:  # rosbags raises its own, struct's and numpy's errors for damaged data
            raise BagError(
                f"a message of {name} at {self.time_ns} ns cannot be read: {shown(error, 300)}"
            ) from error


class Bag:
    """An open bag; use it with `with`. Its messages can be read several times.

    Memory does not grow with the bag: at most a few chunks of the file are held at a time.
    """

    def __init__(self, folder: Path) -> None:
        """Open a rosbag2 folder, also one without metadata.yaml, or a lone .mcap or .db3 file.

        Raises BagError when it is none or cannot be read. What was missing or lost is in `warnings`.
        """
        self.folder = folder
        try:
            self._recording = open_recording(folder)
        except BagError:
            raise
        except Exception as error:  # a damaged file can fail in many ways
            raise BagError(
                f"the recording {folder} cannot be read: {shown(error, 300)}; record or copy it again"
            ) from error
        self.channels = merged_channels(self._recording)
        """Sorted by topic; a topic with several types has several."""
        self.types = MessageTypes(self.channels)
        by_topic: dict[str, list[Channel]] = {}
        for channel in self.channels:
            by_topic.setdefault(channel.topic, []).append(channel)
        self.topics = {name: _topic(channels) for name, channels in by_topic.items()}
        times = [t for f in self._recording.files for t in (f.start_ns, f.end_ns) if t is not None]
        self._start_ns, self._end_ns = (min(times), max(times)) if times else (0, 0)
        self._warned = 0

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files of the recording. Messages cannot be read afterwards."""
        self._recording.ending.close()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for the user: what of the recording is missing, damaged or lost.

        Damage inside a file is reported once the messages there have been read.
        """
        of_files = (w for file in self._recording.files for w in file.warnings)
        return (*self._recording.warnings, *of_files)

    def new_warnings(self) -> tuple[str, ...]:
        """Return the warnings that have come since the last call, or since the bag was opened."""
        warnings = self.warnings[self._warned :]
        self._warned += len(warnings)
        return warnings

    @property
    def extras(self) -> tuple[str, ...]:
        """What the files have besides messages, in words: attachments and metadata records of MCAP."""
        return tuple(extra for file in self._recording.files for extra in file.extras)

    @property
    def custom_data(self) -> dict[str, str]:
        """The custom data of metadata.yaml."""
        return dict(self._recording.metadata.get("custom_data") or {})

    @property
    def start_ns(self) -> int:
        """The time of recording of the first message; 0 without messages."""
        return self._start_ns

    @property
    def duration_ns(self) -> int:
        """The time from the first message to the last."""
        return self._end_ns - self._start_ns

    def messages(
        self,
        topics: Collection[str] | None = None,
        start_ns: int | None = None,
        stop_ns: int | None = None,
    ) -> Iterator[BagMessage]:
        """Return the messages of some topics, or of all for None, in the order of recording.

        start_ns, stop_ns: only what was recorded from start_ns on and before stop_ns. Raises BagError at once for a
        topic that the bag does not have, and while reading for a damaged file.
        """
        requested = set(self.topics if topics is None else topics)
        self.require(requested)
        return self._read(requested, start_ns, stop_ns) if requested else iter(())

    def require(self, topics: Collection[str]) -> None:
        """Raise BagError when the bag does not have one of the topics."""
        missing = sorted(set(topics) - set(self.topics))
        if missing:
            raise BagError(
                f"the recording {self.folder} has no topic {missing[0]}; it has {', '.join(self.topics)}"
            )

    def _read(
        self, requested: set[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[BagMessage]:
        may_be_compressed = self._recording.may_have_compressed_messages
        files, topics, types = self._recording.files, self.topics, self.types
        try:
            for topic, time_ns, data in read_in_order(files, requested, start_ns, stop_ns):
                if may_be_compressed and data.startswith(_ZSTD_START):
                    data = _decompressed(data)
                yield BagMessage(topics[topic], time_ns, data, types)
        except Exception as error:  # errors of mcap, sqlite3, zstd and struct
            raise BagError(
                f"the recording {self.folder} is damaged: {shown(error, 300)}; record or copy it again"
            ) from error


_ZSTD_START = b"\x28\xb5\x2f\xfd"
"""The first bytes of a message that rosbag2 has compressed; no message in CDR begins so."""


_MOST_MESSAGE_BYTES = 2**28
_STEP_BYTES = 4096
"""Of compressed data, which unpack to at most 128 MiB in a step."""


def _decompressed(data: bytes) -> bytes:
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    blocks: list[bytes] = []
    size = 0
    for start in range(0, len(data), _STEP_BYTES):
        blocks.append(decompressor.decompress(data[start : start + _STEP_BYTES]))
        size += len(blocks[-1])
        if size > _MOST_MESSAGE_BYTES:
            raise BagError(
                f"a compressed message has more than {_MOST_MESSAGE_BYTES >> 20} MiB, which no message of a camera has"
            )
        if decompressor.eof:
            return b"".join(blocks)
    raise BagError("a compressed message is cut off")


def _topic(channels: Sequence[Channel]) -> BagTopic:
    profiles = [profile for channel in channels for profile in channel.qos]
    latched = bool(profiles) and all(
        profile.durability == QosDurability.TRANSIENT_LOCAL for profile in profiles
    )
    reliable = not profiles or any(
        profile.reliability != QosReliability.BEST_EFFORT for profile in profiles
    )
    depths = [p.depth if p.history == QosHistory.KEEP_LAST else 0 for p in profiles]
    depth = sum(depths) if depths and all(depths) else max(DEFAULT_DEPTH, len(profiles))
    only = channels[0]
    message_type = only.message_type if len(channels) == 1 else ""
    count = sum(channel.message_count for channel in channels)
    return BagTopic(only.topic, message_type, count, latched, reliable, depth, only.encoding)


def shipped_bag() -> Path:
    """Return the folder of the bag that comes with the package, in the source checkout or installed.

    Raises BagError where only the ROS-free core is installed.
    """
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "package.xml").is_file() and (checkout / SHIPPED).is_dir():
        return checkout / SHIPPED
    try:
        from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
    except ImportError:
        raise BagError(
            "the shipped recording is not installed: it comes with the ROS package, not with the core alone; "
            "name a recording"
        ) from None
    try:
        return Path(get_package_share_directory(PACKAGE)) / SHIPPED
    except (PackageNotFoundError, OSError) as error:  # OSError: without AMENT_PREFIX_PATH
        raise BagError(
            f"the package {PACKAGE} is not in AMENT_PREFIX_PATH; source its setup file or name a recording"
        ) from error


@dataclass(frozen=True)
class GroundTruthLabel:
    """The class of a pixel value in ground-truth label images. held_out: not in the training data."""

    id: int
    name: str
    held_out: bool


def ground_truth_labels(folder: Path) -> tuple[GroundTruthLabel, ...]:
    """Read the classes of a bag's ground-truth label images. Raises BagError when it has none."""
    path = folder / GROUND_TRUTH_FILE
    if not path.is_file():
        raise BagError(f"{folder} has no {GROUND_TRUTH_FILE}: nothing to compare with")
    entries = json.loads(path.read_text(encoding="utf-8"))["labels"]
    return tuple(
        GroundTruthLabel(int(e["id"]), str(e["name"]), bool(e["held_out_from_training"]))
        for e in entries
    )
