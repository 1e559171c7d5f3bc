"""All checks, in the order in which they are printed."""

from __future__ import annotations

from zs_seg_ros.doctor.check import Check
from zs_seg_ros.doctor.disk import check_disk
from zs_seg_ros.doctor.graph import Graph, check_graph
from zs_seg_ros.doctor.machine import Machine
from zs_seg_ros.doctor.network import check_network
from zs_seg_ros.doctor.software import check_software


def examine(machine: Machine, model: str, revision: str = "") -> list[Check]:
    """Check the machine for a model. Where there is no rclpy, DDS and the graph are left out."""
    checks = check_software(machine)
    if machine.has_ros():
        graph: Graph = machine.read_graph()
        checks += [*check_network(machine, graph.middleware), *check_graph(graph)]
    return [*checks, *check_disk(machine, model, revision)]
