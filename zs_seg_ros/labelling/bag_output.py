# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Writes bags: the results of a slice, and copies of bags with the results added."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Literal

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import McapWriter, Schema, write_schema

from zs_seg_ros.bags.bag import Bag, offered_qos
from zs_seg_ros.bags.message_types import MessageTypes
from zs_seg_ros.bags.storage import Channel
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

_IDL_HEADER = "=" * 80 + "\nIDL: "
_NO_HASH = "RIHS01_" + 64 * "0"
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


@dataclass(frozen=True)
class CopiedTopic:
    """A topic to copy, with the definition and hash of its type in the copy. definition: empty for none."""

    channel: Channel
    definition: str
    type_hash: str


def copied_topics(
    bag: Bag, cameras: Sequence[LabelledCamera]
) -> tuple[list[CopiedTopic], list[str]]:
    """Return the topics that a labelled copy of the bag gets, and sentences about what is left out.

    Whatever could fail while the copy is written fails here. Definitions and hashes of the bag are kept; only what is
    missing is filled in.
    """
    copies, problems = [], []
    replaced = set(replaced_topics(bag, cameras))
    for channel in bag.channels:
        topic = bag.topics[channel.topic]
        if channel.topic in replaced:
            continue
        if channel.encoding != "cdr":
            problems.append(
                f"{channel.topic} is left out of the copy: it is encoded as {channel.encoding}, and rosbag2 recordings "
                "hold cdr"
            )
        elif not topic.message_type:
            problem = f"{channel.topic} is left out of the copy: it has no message type, or several"
            if problem not in problems:
                problems.append(problem)
        else:
            copies.append(_copied(channel, bag.types))
    if bag.extras:
        problems.append(
            f"of the recording {bag.folder}, the copy has the messages alone, without {', '.join(bag.extras)}"
        )
    return copies, problems


def _copied(channel: Channel, types: MessageTypes) -> CopiedTopic:
    definition, type_hash = channel.definition, channel.type_hash
    if channel.definition_format == "ros2idl" and not definition.startswith(_IDL_HEADER):
        definition = f"{_IDL_HEADER}{channel.message_type}\n{definition}"  # as rosbag2 marks IDL
    if definition and type_hash:
        return CopiedTopic(channel, definition, type_hash)
    try:
        store = types.store(channel.message_type, channel.topic)
        known, known_hash = (
            store.generate_msgdef(channel.message_type, ros_version=2)[0],
            store.hash_rihs01(channel.message_type),
        )
    except Exception:  # rosbags raises errors of many types for definitions that it cannot read
        return CopiedTopic(channel, definition, type_hash or _NO_HASH)
    if definition or type_hash in ("", known_hash):
        return CopiedTopic(channel, definition or known, type_hash or known_hash)
    return CopiedTopic(channel, "", type_hash)  # it is another version of the type


def write_labelled_bag(
    folder: Path,
    storage: str,
    bag: Bag,
    cameras: Sequence[LabelledCamera],
    vocabulary: Vocabulary,
    results: Iterable[LabelledFrame],
) -> Iterator[None]:
    """Write a copy of the bag with the results added. Yields after each copied message."""
    copies, _ = copied_topics(bag, cameras)
    topics = {copy.channel.topic for copy in copies}
    with new_bag(folder, storage) as writer:
        for key, value in bag.custom_data.items():
            writer.set_custom_data(str(key), str(value))
        connections = {copy.channel.topic: _add_copy(writer, copy) for copy in copies}
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


def _add_copy(writer: Writer, copy: CopiedTopic) -> Connection:
    channel = copy.channel
    if not copy.definition and channel.message_type not in writer.added_types:
        _add_undefined_type(writer, channel.message_type)
    return writer.add_connection(
        channel.topic,
        channel.message_type,
        msgdef=copy.definition,
        rihs01=copy.type_hash,
        offered_qos_profiles=channel.qos,
    )


def _add_undefined_type(writer: Writer, message_type: str) -> None:
    """Add a type without a definition as rosbag2 does, which rosbags' own call cannot.

    With a definition in its place, readers that compare it with the hash would refuse the whole recording.
    """
    if isinstance(writer.storage, McapWriter):
        schemas = writer.storage.schemas
        schemas.append(Schema(len(schemas) + 1, message_type, "", ""))
        write_schema(writer.storage.chunk.bio, schemas[-1])
    writer.added_types.add(message_type)
