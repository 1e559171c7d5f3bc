"""The few quality-of-service choices of this package, named once (interface: docs, topics)."""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.node import (  # where they are differs between distributions; here they are in each
    Node,
    PublisherEventCallbacks,
    SubscriptionEventCallbacks,
)
from rclpy.qos import (
    DurabilityPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
    qos_profile_sensor_data,
)

RESULTS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
FOR_PEOPLE = qos_profile_sensor_data

# rclpy would look at two events for each publisher and subscription whenever anything at all happens, which takes as
# long as all else that it does for an image. Once a second diagnostics look at what the events would tell.
NO_PUBLISHER_EVENTS = PublisherEventCallbacks(use_default_callbacks=False)
NO_SUBSCRIPTION_EVENTS = SubscriptionEventCallbacks(use_default_callbacks=False)


def newest_image(reliability: ReliabilityPolicy) -> QoSProfile:
    """Depth 1: an image that waited behind another one is old."""
    return QoSProfile(depth=1, reliability=reliability)


def following(offered: Iterable[ReliabilityPolicy]) -> ReliabilityPolicy:
    """What a subscription must ask for to hear every publisher, and to lose nothing where none is best effort."""
    if ReliabilityPolicy.BEST_EFFORT in set(offered):
        return ReliabilityPolicy.BEST_EFFORT
    return ReliabilityPolicy.RELIABLE


def refused_subscribers(node: Node, topic: str) -> list[str]:
    """Names of the nodes that ask for more than `node` offers on its topic, and so get nothing of it."""
    me = (node.get_name(), node.get_namespace())
    # Profiles as the middleware tells them: in the one that a publisher was made with, defaults are still open.
    offered = [
        publisher.qos_profile
        for publisher in node.get_publishers_info_by_topic(topic)
        if (publisher.node_name, publisher.node_namespace) == me
    ]
    return [
        subscriber.node_name
        for subscriber in node.get_subscriptions_info_by_topic(topic)
        for mine in offered
        if qos_check_compatible(mine, subscriber.qos_profile)[0] == QoSCompatibility.ERROR
    ]
