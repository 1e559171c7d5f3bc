# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Parameters that the node does not have are named, with the one that is probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest
import rclpy
import yaml
from rclpy.context import Context
from rclpy.node import Node

from zs_seg_ros.ros.parameters.unknown import unknown_parameters, without_defaults
from zs_seg_ros.ros.rclpy_private import given_parameters

ROOT = Path(__file__).parents[2]
DECLARED = ("classes", "cameras", "model", "camera.depth", "default_threshold")


def test_a_typing_error_is_named_with_the_parameter_that_is_meant() -> None:
    [sentence] = unknown_parameters(["clases", "model"], DECLARED)
    assert sentence == (
        "the parameter 'clases' has no effect: the node has none of this name; classes may be meant"
    )


def test_a_name_like_no_other_points_to_the_list() -> None:
    [sentence] = unknown_parameters(["xyzzy"], DECLARED)
    assert sentence.endswith("docs/parameters.md lists those that have")


def test_a_parameter_of_a_camera_that_is_not_listed_names_the_camera() -> None:
    [sentence] = unknown_parameters(["front.depth"], DECLARED)
    assert "there is no camera 'front'; name it in cameras" in sentence


def test_the_file_of_defaults_names_no_camera_that_is_not_there() -> None:
    [node] = yaml.safe_load((ROOT / "config" / "segmentation.yaml").read_text()).values()
    given = {f"camera.{name}": v for name, v in node["ros__parameters"]["camera"].items()}
    assert len(given) > 5 and without_defaults(given) == []
    assert without_defaults({"camera.mask_classes": [""], "camera.rotation": 0}) == []
    changed = given | {"camera.depth": True, "front.rotation": 90, "clases": []}
    assert without_defaults(changed) == ["camera.depth", "front.rotation", "clases"]


def test_parameters_of_rclpy_are_known() -> None:
    given = ["use_sim_time", "start_type_description_service", "qos_overrides./x.history"]
    assert unknown_parameters(given, DECLARED) == []


def test_hostile_names_are_escaped_shortened_and_limited_in_number() -> None:
    hostile = [f"\x1b[31m\n[ERROR] {i:03}" + "x" * 10_000 for i in range(100)]
    sentences = unknown_parameters(hostile, DECLARED)
    assert len(sentences) == 20
    assert all(s.isprintable() and len(s) < 250 for s in sentences)
    assert sentences[0].startswith("the parameter '\\x1b[31m\\n[ERROR] 000xxx")


@pytest.mark.parametrize("recorded", [True, False])
def test_what_the_command_line_gives_is_listed_also_by_an_rclpy_without_the_record(
    recorded: bool,
) -> None:
    context = Context()
    rclpy.init(context=context)
    arguments = ["--ros-args", "-p", "clases:=[mug]", "-p", "camera.depth:=true"]
    node = Node("asked", context=context, cli_args=arguments)
    try:
        if not recorded:
            del node._parameter_overrides
        assert sorted(given_parameters(node)) == ["camera.depth", "clases"]
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)
