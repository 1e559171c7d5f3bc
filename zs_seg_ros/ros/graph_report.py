# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Prints what is on the ROS graph as one line of JSON, for `zs-seg doctor`, which imports no ROS."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions

_READ_EVERY_S = 0.1
_READINGS_WITHOUT_CHANGE = 30
"""Fast DDS announces itself within three seconds. Readings are counted and not seconds, so that a machine that is busy
with other programs has the longer time that it needs."""
_READINGS_WITHOUT_NAMES = 90
"""The same while the node of an endpoint is not known: a participant that is none of ROS never has one."""
_LONGEST_S = 15.0
"""A graph that changes all the time is reported as it is after so long."""
_UNKNOWN = "_NODE_NAME_UNKNOWN_"
"""The name that rmw gives to the node of an endpoint that was discovered before its node."""
_OWN = "zs_seg_doctor"


def main() -> None:
    """Read the graph and print it: middleware, domain, endpoints."""
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = Node(_OWN, enable_rosout=False, start_parameter_services=False)
    report = {
        "middleware": rclpy.get_rmw_implementation_identifier(),
        "domain": os.environ.get("ROS_DOMAIN_ID", "0"),
        "endpoints": discovered(lambda: list(_endpoints(node))),
    }
    print(json.dumps(report), flush=True)
    node.destroy_node()
    rclpy.try_shutdown()


def discovered(read: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Read the graph until it has stayed the same for a while, longer where the node of an endpoint is not known."""
    end_s = time.monotonic() + _LONGEST_S
    endpoints, unchanged = read(), 0
    while unchanged < _required(endpoints) and time.monotonic() < end_s:
        time.sleep(_READ_EVERY_S)
        before, endpoints = endpoints, read()
        unchanged = unchanged + 1 if endpoints == before else 0
    return endpoints


def _required(endpoints: list[dict[str, Any]]) -> int:
    is_whole = not any(_UNKNOWN in endpoint["node"] for endpoint in endpoints)
    return _READINGS_WITHOUT_CHANGE if is_whole else _READINGS_WITHOUT_NAMES


def _endpoints(node: Node) -> Iterator[dict[str, Any]]:
    for topic, _ in node.get_topic_names_and_types():
        for publishes, infos in (
            (True, node.get_publishers_info_by_topic(topic)),
            (False, node.get_subscriptions_info_by_topic(topic)),
        ):
            for info in infos:
                if info.node_name == _OWN:
                    continue
                yield {
                    "topic": topic,
                    "type": info.topic_type,
                    "node": f"{info.node_namespace.rstrip('/')}/{info.node_name}",
                    "publishes": publishes,
                    "reliable": info.qos_profile.reliability == ReliabilityPolicy.RELIABLE,
                    "latched": info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL,
                }
