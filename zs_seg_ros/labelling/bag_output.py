"""Writes bags: the results of a slice, and copies of bags with the results added."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Literal

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinitionFormat,
    Qos,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg
from rosbags.typesys.store import Typestore

from zs_seg_ros.bags.bag import Bag, offered_qos
from zs_seg_ros.labelling.messages import (
    IMAGE,
    OBJECTS,
    VOCABULARY,
    message_types,
    serialised,
    vocabulary_message,
)
from zs_seg_ros.labelling.plan import VOCABULARY_TOPIC, LabelledCamera
from zs_seg_ros.labelling.results import LabelledFrame
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

_METADATA_VERSION: Literal[8] = 8
"""Of metadata.yaml. Version 9 names QoS policies as Jazzy does, which Humble cannot read."""

TimedMessage = tuple[int, str, bytes | memoryview]
"""Time of recording in ns, topic, and the message's CDR."""


def new_bag(folder: Path, storage: str) -> Writer:
    """Return a writer of a new rosbag2 folder; use it with `with`. storage: mcap (compressed) or sqlite3."""
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    writer = Writer(folder, version=_METADATA_VERSION, storage_plugin=plugin)
    if storage == "mcap":
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    return writer


def add_result_topics(
    writer: Writer, cameras: Sequence[LabelledCamera], offered: Sequence[Qos] = ()
) -> dict[str, Connection]:
    """Add the result topics of the cameras; return the connections by topic. offered: the QoS to record."""
    return {
        topic: writer.add_connection(
            topic, message_type, typestore=message_types(), offered_qos_profiles=offered
        )
        for camera in cameras
        for topic, message_type in (
            (camera.label, IMAGE),
            (camera.confidence, IMAGE),
            (camera.objects, OBJECTS),
        )
    }


def replaced_topics(bag: Bag, cameras: Sequence[LabelledCamera]) -> list[str]:
    """Return the result topics that the bag already has, and that the new results replace."""
    new = {VOCABULARY_TOPIC, *(t for c in cameras for t in (c.label, c.confidence, c.objects))}
    return sorted(new & set(bag.topics))


def write_labelled_bag(
    folder: Path,
    storage: str,
    bag: Bag,
    cameras: Sequence[LabelledCamera],
    vocabulary: Vocabulary,
    results: Iterable[LabelledFrame],
) -> Iterator[None]:
    """Write a copy of the bag with the results added. Yields after each copied message."""
    topics = set(bag.topics) - set(replaced_topics(bag, cameras))
    with new_bag(folder, storage) as writer:
        connections = {
            connection.topic: _add_copy(writer, connection, bag.typestore)
            for connection in bag.connections
            if connection.topic in topics
        }
        connections |= add_result_topics(writer, cameras, [offered_qos(depth=5)])
        connections[VOCABULARY_TOPIC] = writer.add_connection(
            VOCABULARY_TOPIC,
            VOCABULARY,
            typestore=message_types(),
            offered_qos_profiles=[offered_qos(depth=1, latched=True)],
        )
        first = serialised(vocabulary_message(vocabulary))
        writer.write(connections[VOCABULARY_TOPIC], bag.start_ns, first)
        copied = ((m.time_ns, m.topic.name, m.serialised) for m in bag.messages(topics))
        merged = heapq.merge(copied, _timed_messages(results), key=itemgetter(0))
        for time_ns, topic, data in merged:
            writer.write(connections[topic], time_ns, data)
            if topic in topics:
                yield


def _timed_messages(results: Iterable[LabelledFrame]) -> Iterator[TimedMessage]:
    """Yield the messages of the results, 1 ns after their images."""
    for result in results:
        time_ns = result.time_ns + 1
        yield time_ns, result.camera.label, result.label
        yield time_ns, result.camera.confidence, result.confidence
        yield time_ns, result.camera.objects, serialised(result.objects)


def _add_copy(writer: Writer, connection: Connection, types: Typestore) -> Connection:
    """Add the connection's topic to another bag, with the definition of its type where there is one."""
    known = connection.msgtype in types.fielddefs
    definition, digest = connection.msgdef.data, connection.digest
    if known and connection.msgdef.format != MessageDefinitionFormat.MSG:
        definition, _ = types.generate_msgdef(connection.msgtype, ros_version=2)
    if known and not digest:
        digest = types.hash_rihs01(connection.msgtype)
    if not known:
        definition, digest = _placeholder(connection.msgtype, types)
    assert isinstance(connection.ext, ConnectionExtRosbag2)
    return writer.add_connection(
        connection.topic,
        connection.msgtype,
        msgdef=definition,
        rihs01=digest,
        serialization_format=connection.ext.serialization_format,
        offered_qos_profiles=connection.ext.offered_qos_profiles,
    )


def _placeholder(message_type: str, types: Typestore) -> tuple[str, str]:
    """Return a definition and its hash for a type that neither the bag nor ROS 2 itself defines.

    Older SQLite bags define no types. The hash must match the definition, or readers refuse the copy.
    """
    definition = "# The definition was not in the recording that this one is a copy of.\n"
    types.register(get_types_from_msg(definition, message_type))
    return definition, types.hash_rihs01(message_type)
