"""The few quality-of-service choices of this package, named once (interface: docs, topics)."""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data

RESULTS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
FOR_PEOPLE = qos_profile_sensor_data


def newest_image(reliability: ReliabilityPolicy) -> QoSProfile:
    """Depth 1: an image that waited behind another one is old."""
    return QoSProfile(depth=1, reliability=reliability)


def following(offered: Iterable[ReliabilityPolicy]) -> ReliabilityPolicy:
    """What a subscription must ask for to hear every publisher, and to lose nothing where none is best effort."""
    if ReliabilityPolicy.BEST_EFFORT in set(offered):
        return ReliabilityPolicy.BEST_EFFORT
    return ReliabilityPolicy.RELIABLE
