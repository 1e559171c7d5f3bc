# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What `zs-seg doctor` reads of the ROS graph, with real publishers and subscriptions."""

from __future__ import annotations

import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from zs_seg_ros.doctor.check import Status
from zs_seg_ros.doctor.graph import check_graph, read_graph


def test_the_graph_has_the_mismatch_of_two_nodes(ros: None) -> None:
    node = Node("graph_test", namespace="/robot")
    node.create_publisher(
        Image, "/front/image_raw", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_subscription(Image, "/front/image_raw", lambda _: None, latched)
    try:
        graph = read_graph()
    finally:
        node.destroy_node()
    assert graph.problem == "" and graph.middleware == rclpy.get_rmw_implementation_identifier()
    own = {
        (e.publishes, e.reliable, e.latched)
        for e in graph.endpoints
        if e.node == "/robot/graph_test"
    }
    assert {(True, False, False), (False, True, True)} <= own
    checks = {check.name: check for check in check_graph(graph)}
    assert checks["/front/image_raw"].status == Status.WARNING
    assert "best effort, volatile" in checks["ROS graph"].text
