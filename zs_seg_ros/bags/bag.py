"""Reads bags (rosbag2 folders, MCAP or SQLite) message by message, without ROS."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from zs_seg_ros.errors import BagError

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
    history depth; DDS discovery does not carry it, so that most bags have none and DEFAULT_DEPTH is used.
    """

    name: str
    message_type: str  # "sensor_msgs/msg/Image"
    message_count: int
    latched: bool
    reliable: bool = True
    depth: int = DEFAULT_DEPTH


@dataclass(frozen=True, eq=False)
class BagMessage:
    """A recorded message. time_ns: the time of recording. serialised: its CDR, as ROS 2 sends it."""

    topic: BagTopic
    time_ns: int
    serialised: bytes
    _reader: AnyReader

    @cached_property
    def content(self) -> Any:
        """The message with the fields of its ROS type; arrays are numpy arrays. Raises BagError."""
        try:
            return self._reader.deserialize(self.serialised, self.topic.message_type)
        except AnyReaderError as error:
            raise BagError(
                f"a message of {self.topic.name} at {self.time_ns} ns cannot be read: {error}"
            ) from error


class Bag:
    """An open bag; use it with `with`. Its messages can be read several times.

    Memory does not grow with the bag: at most a few chunks of the file are held at a time.
    """

    def __init__(self, folder: Path) -> None:
        """Open a rosbag2 folder. Raises BagError when it is none or cannot be read."""
        if not (folder / "metadata.yaml").is_file():
            raise BagError(
                f"{folder} is no recording: it has no metadata.yaml; name the folder that `ros2 bag record` has written"
            )
        self.folder = folder
        try:
            self._reader = AnyReader([folder], default_typestore=get_typestore(Stores.ROS2_JAZZY))
            self._reader.open()
        except Exception as error:  # rosbags raises exceptions of many types for a truncated file
            raise BagError(
                f"the recording {folder} cannot be read: {error}; record or copy it again"
            ) from error
        self.topics = {name: self._topic(name) for name in sorted(self._reader.topics)}

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()

    @property
    def start_ns(self) -> int:
        """The time of recording of the first message."""
        return int(self._reader.start_time)

    @property
    def duration_ns(self) -> int:
        """The time from the first message to the last."""
        return max(0, int(self._reader.duration) - 1)  # rosbags counts to just after the last

    @property
    def connections(self) -> list[Connection]:
        """The topics as rosbags describes them, with message definitions and offered QoS."""
        return self._reader.connections

    @property
    def typestore(self) -> Typestore:
        """The message types that the bag defines or, where it defines none, those of ROS 2 Jazzy."""
        return self._reader.typestore

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
        connections = [c for c in self._reader.connections if c.topic in requested]
        try:
            for connection, time_ns, data in self._reader.messages(connections, start_ns, stop_ns):
                yield BagMessage(self.topics[connection.topic], time_ns, data, self._reader)
        except Exception as error:  # rosbags raises errors of zstd, struct and its own
            raise BagError(
                f"the recording {self.folder} is damaged: {error}; record or copy it again"
            ) from error

    def _topic(self, name: str) -> BagTopic:
        info = self._reader.topics[name]
        profiles = [
            profile
            for connection in info.connections
            if isinstance(connection.ext, ConnectionExtRosbag2)
            for profile in connection.ext.offered_qos_profiles
        ]
        latched = bool(profiles) and all(
            profile.durability == QosDurability.TRANSIENT_LOCAL for profile in profiles
        )
        reliable = not profiles or any(
            profile.reliability != QosReliability.BEST_EFFORT for profile in profiles
        )
        depths = [p.depth if p.history == QosHistory.KEEP_LAST else 0 for p in profiles]
        depth = sum(depths) if depths and all(depths) else max(DEFAULT_DEPTH, len(profiles))
        return BagTopic(name, info.msgtype or "", info.msgcount, latched, reliable, depth)


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
    except PackageNotFoundError as error:
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
