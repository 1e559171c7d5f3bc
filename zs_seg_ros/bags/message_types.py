# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Parses the message types of a bag, each only when it is needed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import Any

from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from zs_seg_ros.bags.storage import Channel
from zs_seg_ros.errors import BagError
from zs_seg_ros.shown import shown

_IDL_SEPARATOR = "=" * 80 + "\n"


@cache
def ros_types() -> Typestore:
    """Return the message types of ROS 2 Jazzy."""
    return get_typestore(Stores.ROS2_JAZZY)


class MessageTypes:
    """The message types that a bag defines or, where it defines none that can be read, those of ROS 2 Jazzy.

    The recorded hash of a type is not compared: rosbags computes another one than ROS for a few types.
    """

    def __init__(self, channels: Iterable[Channel]) -> None:
        self._channels: dict[str, Channel] = {}
        for channel in channels:
            if _is_defined(channel) or channel.message_type not in self._channels:
                self._channels[channel.message_type] = channel
        self._stores: dict[str, Typestore] = {}

    def store(self, message_type: str, topic: str) -> Typestore:
        """Return a store that has the type. Raises BagError, which names the topic, where it cannot be read."""
        if message_type not in self._stores:
            self._stores[message_type] = self._parsed(message_type, topic)
        return self._stores[message_type]

    def deserialise(self, message_type: str, topic: str, data: bytes) -> Any:
        """Return the message. Raises BagError where the type cannot be read, and what rosbags raises for the data.

        Where the bag's definition does not fit the data, that of ROS 2 Jazzy is tried.
        """
        store, usual = self.store(message_type, topic), ros_types()
        try:
            return store.deserialize_cdr(data, message_type)
        except Exception:
            if store is usual or message_type not in usual.fielddefs:
                raise
            with suppress(Exception):
                message = usual.deserialize_cdr(data, message_type)
                self._stores[message_type] = usual
                return message
            raise

    def _parsed(self, message_type: str, topic: str) -> Typestore:
        channel = self._channels.get(message_type)
        reason = "the recording has no definition of it"
        if channel is not None and _is_defined(channel):
            try:
                return _store_of(channel)
            except Exception as error:  # a foreign definition can fail in the parser in many ways
                first = shown(error, 300).splitlines()[:1]
                reason = (
                    f"its definition cannot be read ({(first or [''])[0] or type(error).__name__})"
                )
        if message_type in ros_types().fielddefs:
            return ros_types()
        raise BagError(f"the topic {topic} cannot be read: of its type {message_type}, {reason}")


def _is_defined(channel: Channel) -> bool:
    """Return whether the bag defines the type. An empty text of ros2msg defines a type without fields."""
    if channel.definition:
        return True
    return (
        channel.definition_format == "ros2msg" and channel.message_type not in ros_types().fielddefs
    )


def _store_of(channel: Channel) -> Typestore:
    store = get_typestore(Stores.EMPTY)
    text = channel.definition
    if channel.definition_format == "ros2msg":
        store.register(get_types_from_msg(text, channel.message_type))
    else:
        if text.startswith(f"{_IDL_SEPARATOR}IDL: "):
            parts = [part.partition("\n")[2] for part in text.split(_IDL_SEPARATOR)[1:]]
        else:
            parts = [text]
        for part in parts:
            store.register(get_types_from_idl(part))
    store.hash_rihs01(channel.message_type)  # raises where a type that it is made of is missing
    return store
