# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Joins the channels of all files of a recording, and what metadata.yaml says of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from zs_seg_ros.bags.recording_files import RecordingFiles
from zs_seg_ros.bags.storage import Channel, readable_qos


def merged_channels(recording: RecordingFiles) -> tuple[Channel, ...]:
    """Return one channel for each topic and type of all files, completed by metadata.yaml."""
    merged: dict[tuple[str, str], Channel] = {}
    for channel in _recorded_topics(recording.metadata):
        merged[channel.topic, channel.message_type] = channel
    described = dict(merged)
    for channel in (_named(channel) for file in recording.files for channel in file.channels):
        key = channel.topic, channel.message_type
        other, first = merged.get(key, channel), key in described
        described.pop(key, None)
        qos = channel.qos if first or other is channel else (*other.qos, *channel.qos)
        merged[key] = replace(
            channel,
            message_count=channel.message_count + (0 if other is channel else other.message_count),
            definition=channel.definition or other.definition,
            definition_format=channel.definition_format or other.definition_format,
            type_hash=channel.type_hash or other.type_hash,
            qos=tuple(qos) if qos else other.qos,
        )
    return tuple(merged[key] for key in sorted(merged))


def _recorded_topics(metadata: dict[str, Any]) -> list[Channel]:
    """Return the topics of metadata.yaml. Their counts are left out: the files have the true ones."""
    channels = []
    for entry in metadata.get("topics_with_message_count") or ():
        topic = entry["topic_metadata"]
        channels.append(
            Channel(
                str(topic["name"]),
                _full_name(str(topic["type"])),
                type_hash=str(topic.get("type_description_hash") or ""),
                encoding=str(topic.get("serialization_format") or "cdr"),
                qos=readable_qos(topic.get("offered_qos_profiles") or ()),
            )
        )
    return channels


def _named(channel: Channel) -> Channel:
    """Return the channel with the full name of its type, such as sensor_msgs/msg/Image for sensor_msgs/Image."""
    if channel.encoding != "cdr":
        return channel
    return replace(channel, message_type=_full_name(channel.message_type))


def _full_name(message_type: str) -> str:
    """Return the name of a type with its kind, which the first releases of rosbag2 left out."""
    package, separator, name = message_type.partition("/")
    return f"{package}/msg/{name}" if separator and "/" not in name else message_type
