# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Small rosbag2 recordings, like those of `ros2 bag record`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from rosbags.interfaces import Qos
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

TEXT = "std_msgs/msg/String"
NOT_INSTALLED = "unknown_msgs/msg/Unknown"


def write_recording(
    folder: Path,
    messages: Iterable[tuple[int, str, str]],
    offered: Mapping[str, list[Qos]] | None = None,
    types: Mapping[str, str] | None = None,
    storage: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
) -> None:
    """Write messages, (time in ns, topic, text), to the new folder `folder`.

    offered: the QoS profiles that the publishers of a topic offered; a topic without an entry has none. types: the
    message type of a topic, TEXT without an entry; each type has a single string.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg("string data", NOT_INSTALLED))
    writer = Writer(folder, version=8, storage_plugin=storage)
    writer.set_compression(compression, CompressionFormat.ZSTD)
    connections = {}
    with writer:
        for time_ns, topic, text in messages:
            message_type = (types or {}).get(topic, TEXT)
            if topic not in connections:
                connections[topic] = writer.add_connection(
                    topic,
                    message_type,
                    typestore=store,
                    offered_qos_profiles=(offered or {}).get(topic, []),
                )
            message = store.types[message_type](data=text)
            writer.write(connections[topic], time_ns, store.serialize_cdr(message, message_type))
