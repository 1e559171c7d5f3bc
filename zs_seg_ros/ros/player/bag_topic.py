"""Publishers for the topics of a bag."""

from __future__ import annotations

import importlib
from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from zs_seg_ros.bags.bag import BagTopic


def message_class(message_type: str) -> Any | None:
    """Return the class of "package/msg/Name"; None where it is not installed."""
    module, _, name = message_type.replace("/", ".").rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError, ValueError):  # ValueError: an empty module name
        return None


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
        node.get_logger().warning(f"{topic.name} is left out: it is encoded as {topic.encoding}")
        return None
    kind = message_class(topic.message_type)
    if kind is None:
        node.get_logger().warning(
            f"{topic.name} is left out: {topic.message_type} is not installed"
        )
        return None
    return node.create_publisher(kind, name, qos)
