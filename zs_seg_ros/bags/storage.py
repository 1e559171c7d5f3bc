# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What the files of a recording hold, whatever their kind: channels and serialised messages."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from rosbags.interfaces import Qos
from rosbags.rosbag2.metadata import parse_qos

RosbagQos = tuple[Qos, ...]


@dataclass(frozen=True)
class Channel:
    """A topic of a file with one message type.

    definition: text of the type, in the format ros2msg, ros2idl or another one; empty where the file has none.
    type_hash: RIHS01, or empty. encoding: of the messages; cdr in ROS 2.
    """

    topic: str
    message_type: str
    message_count: int = 0
    definition: str = ""
    definition_format: str = ""
    type_hash: str = ""
    encoding: str = "cdr"
    qos: RosbagQos = ()


StoredMessage = tuple[str, int, bytes]
"""Topic, time of recording in ns, and the serialised message."""


class Storage(Protocol):
    """An open file. start_ns, end_ns: the times of its first and last message; None without messages.

    extras: what it has besides messages, in words. warnings: what of it is lost; more may come while it is read.
    """

    channels: tuple[Channel, ...]
    start_ns: int | None
    end_ns: int | None
    extras: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for the user."""

    def messages(
        self, topics: Collection[str], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[StoredMessage]:
        """Yield the messages of the topics from start_ns on and before stop_ns, in the order of recording."""

    def close(self) -> None:
        """Close the file."""


def readable_qos(recorded: object) -> RosbagQos:
    """Return the QoS profiles that a file or metadata.yaml describes; none where they cannot be read."""
    try:
        return tuple(parse_qos(recorded))  # type: ignore[arg-type]
    except Exception:  # a foreign writer may put anything there
        return ()
