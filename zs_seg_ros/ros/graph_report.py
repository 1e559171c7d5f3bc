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
from collections.abc import Iterator
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions

_DISCOVERY_S = 3.0
"""How long other participants have to be discovered; Fast DDS announces itself within this time."""
_OWN = "zs_seg_doctor"


def main() -> None:
    """Read the graph and print it: middleware, domain, endpoints."""
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = Node(_OWN, enable_rosout=False, start_parameter_services=False)
    time.sleep(_DISCOVERY_S)
    report = {
        "middleware": rclpy.get_rmw_implementation_identifier(),
        "domain": os.environ.get("ROS_DOMAIN_ID", "0"),
        "endpoints": list(_endpoints(node)),
    }
    print(json.dumps(report), flush=True)
    node.destroy_node()
    rclpy.try_shutdown()


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
