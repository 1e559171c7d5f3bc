# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Publishers for the topics of a bag."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from zs_seg_ros.bags.bag import BagTopic
from zs_seg_ros.shown import described, shown

_MESSAGE_TYPE = re.compile(r"([A-Za-z]\w*)/(msg|srv|action)/([A-Za-z]\w*)", re.ASCII)


def message_class(message_type: str) -> Any | None:
    """Return the class of "package/msg/Name"; None where it is not installed.

    Nothing is imported but packages of messages: the name comes from the recording, and importing executes code.
    """
    if not (match := _MESSAGE_TYPE.fullmatch(message_type)):
        return None
    package, kind, name = match.groups()
    spec = importlib.util.find_spec(package)
    folders = (spec and spec.submodule_search_locations) or ()
    if not any(Path(folder, kind, "__init__.py").is_file() for folder in folders):
        return None
    message = getattr(importlib.import_module(f"{package}.{kind}"), name, None)
    return message if hasattr(message, "get_fields_and_field_types") else None


def recorded_qos(topic: BagTopic) -> QoSProfile:
    """Return the QoS that the topic was recorded with."""
    return QoSProfile(
        depth=topic.depth,
        reliability=ReliabilityPolicy.RELIABLE if topic.reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if topic.latched else DurabilityPolicy.VOLATILE,
    )


def publisher_for(node: Node, topic: BagTopic, name: str, qos: QoSProfile) -> Publisher | None:
    """Create a publisher. Return None, and log a warning, where the message type is not installed."""
    if topic.encoding != "cdr":
        node.get_logger().warning(
            f"{shown(topic.name)} is left out: it is encoded as {shown(topic.encoding)}"
        )
        return None
    kind = message_class(topic.message_type)
    if kind is None:
        node.get_logger().warning(
            f"{shown(topic.name)} is left out: {shown(topic.message_type)} is not installed"
        )
        return None
    try:
        return node.create_publisher(kind, name, qos)
    except (InvalidTopicNameException, ValueError) as error:
        node.get_logger().warning(
            f"{shown(topic.name)} is left out: it is no topic name of ROS 2 ({described(error)})"
        )
        return None
