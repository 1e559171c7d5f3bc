# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Parameters explain themselves, and a wrong value is refused with the reason."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ament_index_python.packages import get_package_share_directory
from planner import Planner, image_message, pixels, running_node, target
from rcl_interfaces.msg import ParameterType
from rclpy.parameter import Parameter

CONFIG = Path(get_package_share_directory("zs_seg_ros")) / "config"


@pytest.fixture
def unconfigured() -> Iterator[Planner]:
    with running_node({"autostart": False}, state="unconfigured") as planner:
        yield planner


def test_every_parameter_describes_itself(unconfigured: Planner) -> None:
    names = unconfigured.parameter_names()
    assert {
        "model", "revision", "device", "precision", "compile", "inference_size", "mask_inference_size", "output_scale",
        "cameras", "classes",
        "initial_vocabulary", "vocabulary_file", "default_threshold", "autostart", "camera.reliability",
        "camera.transport", "camera.image_topic", "camera.rotation", "camera.frame_id", "camera.depth",
        "camera.depth_transport", "camera.depth_topic", "camera.info_topic", "camera.depth_scale",
        "min_area", "max_objects", "track", "propagation", "fixed_frame", "inference_every",
        "min_inference_period", "detection_interval", "camera.priority",
        "model_timeout", "max_classes", "max_prompts", "max_total_prompts", "max_prompt_length",
        "max_image_side", "max_image_pixels", "vocabulary_timeout",
    } <= set(names)  # fmt: skip
    for descriptor in unconfigured.describe_parameters(names):
        assert len(descriptor.description) > 40, descriptor.name
        assert descriptor.additional_constraints.endswith("."), descriptor.name


def test_every_parameter_tells_its_default(unconfigured: Planner) -> None:
    parameters = unconfigured.parameter_names()
    for descriptor in unconfigured.describe_parameters(parameters):
        if descriptor.name not in ("model", "autostart"):  # this test sets those
            default = unconfigured.parameter(descriptor.name)
            assert descriptor.description.endswith(f" Default: {json.dumps(default)}.")


def test_every_number_has_a_range(unconfigured: Planner) -> None:
    types = ParameterType.PARAMETER_INTEGER, ParameterType.PARAMETER_DOUBLE
    descriptors = unconfigured.describe_parameters(unconfigured.parameter_names())
    numbers = [d for d in descriptors if d.type in types]
    assert len(numbers) == 22
    for descriptor in numbers:
        [allowed] = [*descriptor.integer_range, *descriptor.floating_point_range]
        assert allowed.from_value < allowed.to_value
        default = unconfigured.parameter(descriptor.name)
        assert allowed.from_value <= default <= allowed.to_value


def test_a_parameter_tells_when_it_can_change(unconfigured: Planner) -> None:
    names = ["model", "default_threshold", "autostart"]
    [model, threshold, autostart] = unconfigured.describe_parameters(names)
    assert autostart.additional_constraints == "Can change only before the start."
    assert model.additional_constraints == "Can change only while the node is unconfigured."
    assert threshold.additional_constraints == "Can change at any time."


def test_the_threshold_has_a_range(unconfigured: Planner) -> None:
    [descriptor] = unconfigured.describe_parameters(["default_threshold"])
    [allowed] = descriptor.floating_point_range
    assert (allowed.from_value, allowed.to_value) == (0.0, 1.0)


REFUSED = [
    ("camera.reliability", "maybe", "auto, reliable, best_effort"),
    ("camera.transport", "ftp", "raw, compressed, ffmpeg"),
    ("camera.depth_transport", "ffmpeg", "raw, compressed"),
    ("camera.image_topic", "no topic", "'no topic'"),
    ("camera.image_topic", "/a//b", "'/a//b'"),
    ("camera.image_topic", "/a/", "'/a/'"),
    ("camera.image_topic", "/1st", "'/1st'"),
    ("camera.image_topic", "/image\x1b[2J\n", "letters, digits"),
    ("camera.depth_topic", "/" + 201 * "a", "200 characters"),
    ("camera.info_topic", "info?", "'info?'"),
    ("camera.depth_scale", math.inf, "inf"),
    ("camera.depth_scale", -0.001, "-0.001"),
    ("camera.rotation", 45, "45"),
    ("camera.rotation", 360, "360"),
    ("max_image_pixels", 0, "0"),
    ("max_total_prompts", 65_001, "65001"),
    ("vocabulary_timeout", math.nan, "nan"),
    ("default_threshold", 1.5, "1.5"),
    ("default_threshold", -0.1, "-0.1"),
    ("default_threshold", math.nan, "nan"),
    ("default_threshold", "high", "type"),
    ("model_timeout", math.nan, "nan"),
    ("cameras", ["", "a"], "none of them empty"),
    ("cameras", ["a", "b", "a"], "a name occurs twice"),
    ("cameras", ["front left"], "'front left'"),
    ("cameras", ["a//b"], "'a//b'"),
    ("cameras", Parameter("cameras", Parameter.Type.STRING_ARRAY, []), "at least one"),
    ("precision", "fp8", "auto, fp32, fp16, bf16, int8"),
    ("engine", "tensorrt", "torch, onnxruntime, auto"),
    ("model", "", "model is empty"),
    ("model", "  ", "model is empty"),
    ("compile", "yes", "type"),
    ("camera.depth", "yes", "type"),
    ("propagation", "geometry", "off, auto, flow"),
    ("propagation", True, "type"),
    ("fixed_frame", "", "name a frame"),
    ("fixed_frame", "/", "name a frame"),
    ("inference_every", -1, "-1"),
    ("min_inference_period", -0.1, "-0.1"),
    ("min_inference_period", math.inf, "inf"),
    ("detection_interval", -0.1, "-0.1"),
    ("detection_interval", math.nan, "nan"),
    ("camera.priority", -1, "-1"),
    ("camera.priority", 101, "101"),
    ("camera.priority", 1.5, "type"),
    ("min_area", -1, "-1"),
    ("max_objects", -1, "-1"),
    ("max_objects", 1_000_000, "1000000"),
    ("track", "yes", "type"),
]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    REFUSED,
    ids=[f"{name}={getattr(value, 'value', value)!r}" for name, value, _ in REFUSED],
)
def test_a_wrong_value_is_refused_with_the_reason(
    unconfigured: Planner, name: str, value: Any, words: str
) -> None:
    before = unconfigured.parameter(name)
    result = unconfigured.set_parameters({name: value})
    assert not result.successful
    assert words in result.reason.lower() or words in result.reason
    assert unconfigured.parameter(name) == before


def test_of_several_parameters_all_change_or_none(unconfigured: Planner) -> None:
    result = unconfigured.set_parameters({"device": "cpu", "precision": "fp8"})
    assert not result.successful and "fp8" in result.reason
    assert unconfigured.parameter("device") == "auto"


def test_what_needs_a_new_model_cannot_change_while_one_is_loaded() -> None:
    with running_node() as planner:
        for name, value in (("model", "tabletop"), ("classes", ["red"]), ("device", "cpu")):
            result = planner.set_parameters({name: value})
            assert not result.successful
            assert name in result.reason and "cleanup" in result.reason
        assert planner.parameter("model") == "fake"
        assert planner.change_state("deactivate") and planner.change_state("cleanup")
        assert planner.set_parameters({"cameras": ["left"]}).successful
        assert planner.change_state("configure") and planner.change_state("activate")
        planner.set_vocabulary("red")
        planner.label_of(np.zeros((4, 4, 3), np.uint8), camera="left")


def test_a_file_of_unchanged_values_can_be_loaded_while_a_model_is_loaded() -> None:
    with running_node({"classes": ["red"]}) as planner:
        names = planner.parameter_names()
        unchanged = {name: planner.parameter(name) for name in names if name != "use_sim_time"}
        result = planner.set_parameters({**unchanged, "min_area": 7})
        assert result.successful, result.reason
        assert planner.parameter("min_area") == 7


def test_autostart_cannot_change_after_the_start(unconfigured: Planner) -> None:
    result = unconfigured.set_parameters({"autostart": True})
    assert not result.successful and "after the start" in result.reason
    assert unconfigured.set_parameters({"autostart": False}).successful


def test_parameters_without_effect_are_reported_with_the_one_that_may_be_meant() -> None:
    typos = {"default_treshold": 0.4, "kamera.depth": True, "utterly_unknown": 1}
    with running_node(typos) as planner:
        for words in (
            "'default_treshold' has no effect: the node has none of this name; default_threshold may be meant",
            "'kamera.depth' has no effect: there is no camera 'kamera'",
            "'utterly_unknown' has no effect",
        ):
            planner.diagnosis_saying("model", words)


def test_the_default_threshold_takes_effect_on_the_next_frame() -> None:
    pale_red = np.full((8, 8, 3), (170, 30, 30), np.uint8)  # the model is 0.80 certain
    pale_blue = np.full((8, 8, 3), (30, 60, 170), np.uint8)
    image = np.hstack([pale_red, pale_blue])
    with running_node() as planner:
        planner.set_vocabulary("red", target("blue", threshold=0.6))
        assert planner.label_of(image)[0, ::8].tolist() == [1, 2]
        assert planner.set_parameters({"default_threshold": 0.9}).successful
        assert planner.label_of(image)[0, ::8].tolist() == [0, 2]
        assert not planner.set_parameters({"default_threshold": 1.1}).successful
        assert planner.label_of(image)[0, ::8].tolist() == [0, 2]
        assert planner.set_parameters({"default_threshold": 0.7}).successful
        assert planner.label_of(image)[0, ::8].tolist() == [1, 2]


def test_a_device_that_is_not_there_fails_configure_in_one_sentence(tmp_path: Path) -> None:
    import zs_seg_ros.segmenters.dense.segmenter  # noqa: F401  imports torch, which can take longer than we wait below

    (tmp_path / "config.json").write_text(json.dumps({"model_type": "zs_seg_dense"}))
    requested = {"model": str(tmp_path), "device": "cuda:7"}
    with running_node(requested, state="unconfigured") as planner:
        assert not planner.change_state("configure")
        assert planner.state == "unconfigured"
        status = planner.diagnosis_saying("model", "'cuda:7' is not there")
        assert "\n" not in status.message


def test_each_camera_has_parameters_of_its_own() -> None:
    parameters = {"cameras": ["left", "arm/wrist"], "arm/wrist.transport": "compressed"}
    with running_node(parameters | {"classes": ["red"]}) as planner:
        assert planner.parameter("left.transport") == "raw"
        assert planner.parameter("arm/wrist.transport") == "compressed"
        message = image_message(np.full((4, 4, 3), (220, 30, 30), np.uint8))
        assert pixels(planner.answer_to(message, camera="left")).all()


def test_an_empty_list_of_classes_is_a_list_of_none() -> None:
    with running_node({"classes": None}) as planner:  # what `classes: []` in a file arrives as
        assert planner.parameter("classes") == []
        assert planner.get_vocabulary().version == 0


def test_an_empty_list_of_cameras_fails_configure() -> None:
    with running_node({"cameras": None}, state="unconfigured") as planner:
        assert not planner.change_state("configure")
        planner.diagnosis_saying("model", "at least one camera")


# --- the configuration files ---


def parameters_in(file: Path) -> dict[str, Any]:
    """Of all nodes in a file, with names as ROS 2 sees them."""
    return {
        name: value
        for node in yaml.safe_load(file.read_text()).values()
        for name, value in flat(node["ros__parameters"])
    }


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_the_robots_configuration_has_every_parameter(unconfigured: Planner) -> None:
    written = parameters_in(CONFIG / "segmentation.yaml")
    assert set(written) == set(unconfigured.parameter_names())


@pytest.mark.parametrize("name", ["segmentation.yaml", "demo.yaml"])
def test_a_configuration_file_sets_only_what_the_node_knows(name: str) -> None:
    written = parameters_in(CONFIG / name)
    with running_node(written | {"autostart": False}, state="unconfigured") as planner:
        known = {*planner.parameter_names(), "use_sim_time"}
        assert set(written) <= known
        for key in set(written) - {"autostart", "use_sim_time"}:
            assert planner.parameter(key) == written[key]
        result = planner.set_parameters({"model": written.get("model", "fake")})
        assert result.successful, result.reason
