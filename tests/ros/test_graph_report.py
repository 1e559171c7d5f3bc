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

from itertools import count
from typing import Any

import pytest
import rclpy
from planner import wait_until
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from zs_seg_ros.doctor.check import Status
from zs_seg_ros.doctor.graph import Graph, check_graph, read_graph
from zs_seg_ros.ros import graph_report

UNKNOWN = "_NODE_NAMESPACE_UNKNOWN_/_NODE_NAME_UNKNOWN_"
"""Of an endpoint that was discovered before its node, as rmw names it."""


def test_the_graph_has_the_mismatch_of_two_nodes(ros: None) -> None:
    node = Node("graph_test", namespace="/robot")
    node.create_publisher(
        Image, "/front/image_raw", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_subscription(Image, "/front/image_raw", lambda _: None, latched)
    own = {(True, False, False), (False, True, True)}
    try:
        graph = wait_until(lambda: graph_with(own, read_graph()), "the two endpoints in the graph")
    finally:
        node.destroy_node()
    assert graph.problem == "" and graph.middleware == rclpy.get_rmw_implementation_identifier()
    checks = {check.name: check for check in check_graph(graph)}
    assert checks["/front/image_raw"].status == Status.WARNING
    assert "best effort, volatile" in checks["ROS graph"].text


def graph_with(endpoints: set[tuple[bool, bool, bool]], graph: Graph) -> Graph | None:
    """The graph, where these endpoints of the test's node are in it: discovery is as fast as the machine is idle."""
    own = {
        (e.publishes, e.reliable, e.latched)
        for e in graph.endpoints
        if e.node == "/robot/graph_test"
    }
    return graph if endpoints <= own else None


def endpoint(node: str) -> dict[str, Any]:
    return {"topic": "/image_raw", "node": node, "publishes": True}


def test_the_graph_is_read_until_nothing_is_added_and_every_node_has_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graph_report, "_READ_EVERY_S", 0.0)
    few, many = graph_report._READINGS_WITHOUT_CHANGE, graph_report._READINGS_WITHOUT_NAMES
    unknown, known = [endpoint(UNKNOWN)], [endpoint("/camera")]
    # What is new comes just before the report would end.
    readings = [[]] * few + [unknown] * many + [known] * (few + 1)
    assert graph_report.discovered(lambda: readings.pop(0)) == known
    assert not readings


def test_an_endpoint_that_belongs_to_no_node_of_ros_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graph_report, "_READ_EVERY_S", 0.0)
    assert graph_report.discovered(lambda: [endpoint(UNKNOWN)]) == [endpoint(UNKNOWN)]


def test_a_graph_that_changes_all_the_time_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_report, "_READ_EVERY_S", 0.0)
    monkeypatch.setattr(graph_report, "_LONGEST_S", 0.05)
    numbers = count()
    endpoints = graph_report.discovered(lambda: [endpoint(f"/node_{next(numbers)}")])
    assert len(endpoints) == 1 and endpoints[0]["node"].startswith("/node_")
