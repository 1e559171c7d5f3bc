# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The table of parameters, the files and pages that repeat it, the launch file and a running node agree."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
from launch_stand_ins import arguments_of
from pages import ROOT
from planner import running_node
from rcl_interfaces.msg import ParameterDescriptor

from zs_seg_ros.ros.parameters.spec import ParameterSpec
from zs_seg_ros.ros.parameters.table import CAMERA_PARAMETERS, NODE_PARAMETERS, find_spec

LAUNCH_FILE = ROOT / "launch" / "segmentation.launch.py"
SCRIPT = ROOT / "scripts" / "write_parameter_docs.py"
NOT_IN_THE_TABLE = {"use_sim_time"}  # rclpy declares it
OF_THE_LAUNCH = {
    "params_file", "preset", "namespace", "fastdds_profile", "rviz", "rviz_config", "remap", "studio",
}  # fmt: skip
"""Arguments that stand for no parameter."""
NO_ARGUMENT = {
    "revision": "a robot keeps its model's revision in its own parameter file",
    "precision": "tuning, together with the model",
    "compile": "tuning, together with the model",
    "engine": "tuning, together with the model",
    "providers": "as engine",
    "export_folder": "as engine",
    "inference_size": "tuning, together with the model",
    "mask_inference_size": "tuning, together with the model",
    "initial_vocabulary": "text of several lines; presets set it",
    "default_threshold": "presets set it, and it can change while the node runs",
    "min_area": "tuning, while the node runs",
    "max_objects": "tuning, while the node runs",
    "output_scale": "tuning, while the node runs",
    "track": "tuning, while the node runs",
    "fixed_frame": "a property of the robot, in its parameter file",
    "target_frame": "as fixed_frame",
    "target_frame_tolerance": "as fixed_frame",
    "inference_every": "for regression tests",
    "min_inference_period": "tuning, while the node runs",
    "detection_interval": "tuning, while the node runs",
    "propagation": "can change while the node runs",
    "model_timeout": "a limit of the robot, in its parameter file",
    "max_classes": "as model_timeout",
    "max_prompts": "as model_timeout",
    "max_prompt_length": "as model_timeout",
    "max_total_prompts": "as model_timeout",
    "max_kept_objects": "as model_timeout",
    "max_image_side": "as model_timeout",
    "max_image_pixels": "as model_timeout",
    "vocabulary_timeout": "as model_timeout",
}
"""Why these parameters are set in files only."""
OF_ONE_CAMERA = {"image_topic", "depth_topic", "info_topic"}
"""Parameters of cameras are set in files, too, but for these, which a driver determines."""
TABLE = [
    *NODE_PARAMETERS.values(),
    *(spec.for_camera("camera") for spec in CAMERA_PARAMETERS.values()),
]


def ids(spec: ParameterSpec) -> str:
    return spec.name


# --- the files that `make parameters` writes ---


@pytest.mark.parametrize(
    ("path", "function"),
    [("docs/parameters.md", "parameters_page"), ("config/segmentation.yaml", "configuration_file")],
)
def test_the_written_files_are_up_to_date(path: str, function: str) -> None:
    expected = runpy.run_path(str(SCRIPT))[function]()
    assert (ROOT / path).read_text(encoding="utf-8") == expected, "run: make parameters"


# --- descriptions ---


@pytest.mark.parametrize("spec", TABLE, ids=ids)
def test_a_description_is_made_of_sentences(spec: ParameterSpec) -> None:
    assert spec.summary.endswith(".") and "\n" not in spec.description
    assert not spec.details or spec.details.endswith(".")
    assert "|" not in spec.description, "would end a cell of the table in docs/parameters.md"


@pytest.mark.parametrize("spec", TABLE, ids=ids)
def test_a_default_is_an_allowed_value(spec: ParameterSpec) -> None:
    if spec.range is not None:
        assert isinstance(spec.default, int | float)
        assert spec.range[0] <= spec.default <= spec.range[1]
    if spec.choices:
        assert spec.default in spec.choices


# --- the launch file ---


def test_every_parameter_is_a_launch_argument_or_has_a_reason() -> None:
    arguments = set(arguments_of(LAUNCH_FILE)) - OF_THE_LAUNCH - NOT_IN_THE_TABLE - OF_ONE_CAMERA
    assert arguments.isdisjoint(NO_ARGUMENT)
    assert arguments | set(NO_ARGUMENT) == set(NODE_PARAMETERS)


def test_launch_arguments_have_the_summaries_of_the_table() -> None:
    for name, argument in arguments_of(LAUNCH_FILE).items():
        if name in NODE_PARAMETERS:
            summary = NODE_PARAMETERS[name].summary.removesuffix(".")
            assert argument.kwargs["default_value"] == ""
            assert argument.kwargs["description"] == f"{summary}; empty: as in the files"
        if name in OF_ONE_CAMERA:
            summary = CAMERA_PARAMETERS[name].summary.removesuffix(".")
            description = f"{summary}, where there is one camera; empty: as in the files"
            assert argument.kwargs["description"] == description


# --- a running node ---


def range_in(descriptor: ParameterDescriptor) -> tuple[float, float] | None:
    ranges = [*descriptor.integer_range, *descriptor.floating_point_range]
    return (ranges[0].from_value, ranges[0].to_value) if ranges else None


def test_a_node_has_the_parameters_of_the_table_and_describes_them_so(ros: None) -> None:
    with running_node({"autostart": False}, state="unconfigured") as planner:
        assert set(planner.parameter_names()) == {spec.name for spec in TABLE}
        descriptors = planner.describe_parameters([spec.name for spec in TABLE])
        for spec, descriptor in zip(TABLE, descriptors, strict=True):
            default = json.dumps(spec.default)
            assert descriptor.description == f"{spec.description} Default: {default}."
            assert descriptor.additional_constraints == f"Can change {spec.changeable.value}."
            assert range_in(descriptor) == spec.range
            assert type_in(descriptor) == spec.type_name


def type_in(descriptor: ParameterDescriptor) -> str:
    names = {1: "bool", 2: "integer", 3: "double", 4: "string", 9: "string array"}
    return names[descriptor.type]


# --- pages ---


def defaults_in(page: Path) -> dict[str, str]:
    """The first word of the second column, by the parameter's name in the first one."""
    rows = re.findall(r"^\| `([\w.]+)` \| ([\d.]+)\b", page.read_text(encoding="utf-8"), re.M)
    return {name: value for name, value in rows if find_spec(name) is not None}


def test_the_page_on_security_has_the_defaults_of_the_limits() -> None:
    quoted = defaults_in(ROOT / "docs" / "security.md")
    limits = {name for name in NODE_PARAMETERS if name.startswith("max_") or "timeout" in name}
    assert set(quoted) == limits - {"max_objects"}
    assert_defaults(quoted)


def test_the_page_on_cameras_has_their_defaults() -> None:
    quoted = defaults_in(ROOT / "docs" / "cameras.md")
    assert set(quoted) == {"CAM.rotation", "CAM.depth_scale", "max_image_pixels"}
    assert_defaults(quoted)


def assert_defaults(quoted: dict[str, str]) -> None:
    for name, value in quoted.items():
        spec = find_spec(name)
        assert spec is not None and float(value) == spec.default, name
