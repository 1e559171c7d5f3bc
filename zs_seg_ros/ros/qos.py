# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The QoS profiles of this package, each named once."""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.node import (  # their module differs between distributions; this import works in each
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
TRANSFORMS = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
STATIC_TRANSFORMS = QoSProfile(
    depth=100,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
SERVICE = QoSProfile(
    depth=200, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE
)
"""Of the services of the node: so many requests wait for those before them.

The default of ROS, 10, is shared by all callers, and DDS drops the oldest request of more without an answer. A queue
without a bound would let callers take any amount of memory.
"""
VISUALISATION = qos_profile_sensor_data

# rclpy's executor would check two events for each publisher and subscription at every wake-up, which takes as long as
# all else that it does for an image. Once a second diagnostics check what the events would report.
NO_PUBLISHER_EVENTS = PublisherEventCallbacks(use_default_callbacks=False)
NO_SUBSCRIPTION_EVENTS = SubscriptionEventCallbacks(use_default_callbacks=False)


NEWEST_IMAGE, VIDEO_PACKETS = 1, 30
"""Depths of subscriptions: an image that waited behind another one is old; a packet of a video serves the next ones."""


def image_subscription(
    reliability: ReliabilityPolicy, durability: DurabilityPolicy, depth: int
) -> QoSProfile:
    """Return the profile to receive images with. depth: `NEWEST_IMAGE` or `VIDEO_PACKETS`."""
    return QoSProfile(depth=depth, reliability=reliability, durability=durability)


def matching_reliability(offered: Iterable[ReliabilityPolicy]) -> ReliabilityPolicy:
    """Return the reliability to request: reliable if all publishers offer it, otherwise best effort."""
    if ReliabilityPolicy.BEST_EFFORT in set(offered):
        return ReliabilityPolicy.BEST_EFFORT
    return ReliabilityPolicy.RELIABLE


def matching_durability(offered: Iterable[DurabilityPolicy]) -> DurabilityPolicy:
    """Return the durability to request: transient local if all publishers offer it, otherwise volatile."""
    if set(offered) == {DurabilityPolicy.TRANSIENT_LOCAL}:
        return DurabilityPolicy.TRANSIENT_LOCAL
    return DurabilityPolicy.VOLATILE


def incompatible_subscribers(node: Node, topic: str, matched: int) -> list[str]:
    """Name the nodes that request more than `node` offers on its topic, and so receive nothing on it.

    matched: the subscribers that receive something. Where there are no others, nothing else is looked for.
    """
    if node.count_subscribers(topic) <= matched:
        return []
    own_name = (node.get_name(), node.get_namespace())
    # Profiles as the middleware reports them: in the one that a publisher was created with, defaults are still open.
    offered = [
        publisher.qos_profile
        for publisher in node.get_publishers_info_by_topic(topic)
        if (publisher.node_name, publisher.node_namespace) == own_name
    ]
    return [
        subscriber.node_name
        for subscriber in node.get_subscriptions_info_by_topic(topic)
        for profile in offered
        if qos_check_compatible(profile, subscriber.qos_profile)[0] == QoSCompatibility.ERROR
    ]
