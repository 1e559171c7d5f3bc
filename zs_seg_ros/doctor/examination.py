# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""All checks, in the order in which they are printed."""

from __future__ import annotations

from zs_seg_ros.doctor.check import Check
from zs_seg_ros.doctor.disk import check_disk
from zs_seg_ros.doctor.folders import check_folders
from zs_seg_ros.doctor.graph import Graph, check_graph
from zs_seg_ros.doctor.machine import Machine
from zs_seg_ros.doctor.network import check_network
from zs_seg_ros.doctor.onnx_packages import check_onnx_packages
from zs_seg_ros.doctor.software import check_software


def examine(machine: Machine, model: str, revision: str = "") -> list[Check]:
    """Check the machine for a model. Where there is no rclpy, DDS and the graph are left out."""
    checks = [*check_software(machine), *check_onnx_packages(machine)]
    if machine.has_ros():
        graph: Graph = machine.read_graph()
        checks += [*check_network(machine, graph.middleware), *check_graph(graph)]
    return [*checks, *check_folders(machine), *check_disk(machine, model, revision)]
