# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What RViz and Foxglove are told to show is what node and camera publish, of that type and quality of service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from planner import Planner, running_node, wait_until
from rclpy.qos import ReliabilityPolicy

CONFIG = Path(__file__).parents[2] / "config"
TYPE_OF_DISPLAY = {
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
    "rviz_default_plugins/PointCloud2": "sensor_msgs/msg/PointCloud2",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
    "vision_msgs_rviz_plugins/Detection3DArray": "vision_msgs/msg/Detection3DArray",
}
# What the displays of RViz (Jazzy) and of vision_msgs_rviz_plugins read; RViz ignores other names without a word.
PROPERTIES = {
    "rviz_default_plugins/Image": {"Normalize Range", "Min Value", "Max Value", "Median window"},
    "rviz_default_plugins/PointCloud2": {
        *("Alpha", "Color Transformer", "Decay Time", "Position Transformer", "Selectable"),
        *("Size (Pixels)", "Size (m)", "Style"),
    },
    "rviz_default_plugins/MarkerArray": {"Namespaces"},
    "vision_msgs_rviz_plugins/Detection3DArray": {
        *("Alpha", "Color", "ConfigPath", "Line Width", "Only Edge", "Show Score"),
    },
    "rviz_default_plugins/TF": {
        *("Frame Timeout", "Frames", "Marker Scale", "Show Arrows", "Show Axes", "Show Names"),
        *("Tree", "Update Interval"),
    },
    "rviz_default_plugins/Grid": {
        *("Alpha", "Cell Size", "Color", "Line Style", "Line Width", "Normal Cell Count"),
        *("Offset", "Plane", "Plane Cell Count", "Reference Frame"),
    },
    "rviz_default_plugins/Orbit": {
        *(
            "Distance",
            "Focal Point",
            "Focal Shape Fixed Size",
            "Focal Shape Size",
            "Near Clip Distance",
        ),
        *("Pitch", "Target Frame", "Yaw"),
    },
}
OF_EVERY_DISPLAY = {"Class", "Name", "Enabled", "Value", "Topic"}
OF_A_TOPIC = {
    *("Value", "Depth", "Durability Policy", "Filter size", "History Policy"),
    "Reliability Policy",
}
WITHOUT_TOPIC = {"rviz_default_plugins/TF", "rviz_default_plugins/Grid"}
TYPES_IN_3D = {"sensor_msgs/msg/PointCloud2", "visualization_msgs/msg/MarkerArray"}


@pytest.fixture(scope="module")
def planner() -> Iterator[Planner]:
    with running_node({"classes": ["red"], "camera.depth": True}) as planner:
        yield planner


def type_of(planner: Planner, topic: str) -> str:
    publishers = wait_until(
        lambda: planner.node.get_publishers_info_by_topic(topic), f"a publisher of {topic}"
    )
    return str(publishers[0].topic_type)


def rviz() -> dict[str, Any]:
    manager: dict[str, Any] = yaml.safe_load((CONFIG / "zs_seg.rviz").read_text())[
        "Visualization Manager"
    ]
    return manager


def displays_with_a_topic() -> list[dict[str, Any]]:
    return [d for d in rviz()["Displays"] if d["Class"] not in WITHOUT_TOPIC]


@pytest.mark.parametrize("display", displays_with_a_topic(), ids=lambda display: display["Name"])
def test_a_display_of_rviz_gets_messages(planner: Planner, display: dict[str, Any]) -> None:
    topic = display["Topic"]
    assert type_of(planner, topic["Value"]) == TYPE_OF_DISPLAY[display["Class"]]
    [publisher] = planner.node.get_publishers_info_by_topic(topic["Value"])
    reliable = publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert topic["Reliability Policy"] == ("Reliable" if reliable else "Best Effort")
    assert topic["Durability Policy"] == "Volatile"  # nothing that is shown is latched


def test_rviz_shows_overlay_cloud_and_markers_in_the_frame_of_the_recording() -> None:
    shown = {display["Topic"]["Value"] for display in displays_with_a_topic()}
    outputs = ("overlay", "points", "markers", "detections_3d")
    assert shown == {f"/zs_seg/camera/{output}" for output in outputs}
    assert {display["Class"] for display in rviz()["Displays"]} >= WITHOUT_TOPIC
    bag = (CONFIG.parent / "recordings/tabletop/README.md").read_text()
    assert f"`{rviz()['Global Options']['Fixed Frame']}` → `camera_link`" in bag


def test_rviz_knows_every_property_that_its_file_sets() -> None:
    for part in [*rviz()["Displays"], rviz()["Views"]["Current"]]:
        known = PROPERTIES[part["Class"]] | OF_EVERY_DISPLAY
        assert set(part) - known == set(), part["Name"]
        assert set(part.get("Topic", {})) <= OF_A_TOPIC, part["Name"]
    options = {"Background Color", "Fixed Frame", "Frame Rate"}
    assert set(rviz()["Global Options"]) <= options


def test_a_panel_of_foxglove_gets_messages(planner: Planner) -> None:
    panels = json.loads((CONFIG / "foxglove_layout.json").read_text())["configById"]
    assert type_of(planner, panels["Image!overlay"]["imageMode"]["imageTopic"]) == (
        "sensor_msgs/msg/Image"
    )
    in_3d = {type_of(planner, topic) for topic in panels["3D!scene"]["topics"]}
    assert in_3d == TYPES_IN_3D
    assert type_of(planner, panels["RawMessages!vocabulary"]["topicPath"]) == (
        "zs_seg_ros/msg/Vocabulary"
    )
    assert type_of(planner, panels["RawMessages!target"]["topicPath"]) == (
        "zs_seg_ros/msg/TargetStatus"
    )
    health = panels["DiagnosticSummary!health"]["topicToRender"]
    assert type_of(planner, health) == "diagnostic_msgs/msg/DiagnosticArray"


def test_foxgloves_button_changes_the_vocabulary(planner: Planner) -> None:
    panel = json.loads((CONFIG / "foxglove_layout.json").read_text())["configById"][
        "CallService!words"
    ]
    assert panel["serviceName"] == "/zs_seg/set_vocabulary"
    classes = json.loads(panel["requestPayload"])["classes"]
    names = [c["name"] for c in classes]
    assert classes == [{"name": name} for name in names]
    assert planner.set_vocabulary(*names).success


def test_foxgloves_layout_places_each_panel_once() -> None:
    layout = json.loads((CONFIG / "foxglove_layout.json").read_text())

    def panels(node: Any) -> list[str]:
        return [node] if isinstance(node, str) else panels(node["first"]) + panels(node["second"])

    assert sorted(panels(layout["layout"])) == sorted(layout["configById"])


def test_the_diagnostic_aggregator_groups_each_entry_of_the_node(planner: Planner) -> None:
    file = (CONFIG / "diagnostic_aggregator.yaml").read_text()
    analyzer = yaml.safe_load(file)["analyzers"]["ros__parameters"]["zs_seg"]
    assert analyzer["type"] == "diagnostic_aggregator/GenericAnalyzer"
    expected = set(analyzer["expected"])
    for entry in ("model", "camera"):
        name = planner.diagnosis(entry, lambda status: status.name, "a name").name
        assert name in expected
        assert name.startswith(tuple(analyzer["startswith"]))
        expected.remove(name)
    assert not expected
