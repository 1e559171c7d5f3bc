# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The node's parameters, declared from the table and read as one frozen, validated value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rclpy.node import Node
from rclpy.parameter import Parameter

from zs_seg_ros.images.image_limits import ImageLimits
from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.ros.parameters.declaration import declare
from zs_seg_ros.ros.parameters.spec import Changeable, ParameterSpec
from zs_seg_ros.ros.parameters.table import CAMERA_PARAMETERS, NODE_PARAMETERS, find_spec
from zs_seg_ros.ros.parameters.validation import ParameterError, validate
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.vocabulary.text import normalised
from zs_seg_ros.vocabulary.vocabulary import Limits

__all__ = [
    "CameraParameters",
    "ParameterError",
    "Parameters",
    "declare_parameters",
    "is_ours",
    "needs_cleanup",
    "read_parameters",
]

_Read = Callable[[ParameterSpec], Any]


@dataclass(frozen=True)
class CameraParameters:
    """The parameters of one camera."""

    name: str
    reliability: str
    transport: str
    image_topic: str
    rotation: int
    frame_id: str
    depth: bool
    depth_transport: str
    depth_topic: str
    info_topic: str
    depth_scale: float
    lidar: str
    mask_classes: tuple[str, ...]
    priority: int

    def receives_like(self, other: CameraParameters) -> bool:
        """Return whether both differ at most in what can change while the camera receives."""
        return replace(self, priority=other.priority) == other


@dataclass(frozen=True)
class Parameters:
    """All parameters at one moment."""

    model: str
    options: LoadOptions
    cameras: tuple[CameraParameters, ...]
    classes: tuple[str, ...]
    initial_vocabulary: str
    vocabulary_file: str
    model_timeout_s: float
    vocabulary_timeout_s: float
    fixed_frame: str
    target_frame: str
    target_frame_tolerance_s: float
    min_inference_period_s: float
    image_limits: ImageLimits
    limits: Limits
    max_kept_objects: int
    settings: Settings


def is_ours(name: str) -> bool:
    """Whether a parameter is declared by this package, and not by rclpy."""
    return find_spec(name) is not None


def is_fixed_at_start(name: str) -> bool:
    """Whether a parameter takes effect when the node starts, and never again."""
    spec = find_spec(name)
    return spec is not None and spec.changeable is Changeable.BEFORE_START


def needs_cleanup(name: str) -> bool:
    """Whether a parameter cannot change while a model is loaded."""
    spec = find_spec(name)
    return spec is not None and spec.changeable is Changeable.UNCONFIGURED


def declare_parameters(node: Node) -> None:
    """Declare all parameters that are not declared yet; those of the cameras follow from the list of cameras."""
    for spec in NODE_PARAMETERS.values():
        declare(node, spec)
    for camera in node.get_parameter("cameras").value:
        for spec in CAMERA_PARAMETERS.values():
            if camera:
                declare(node, spec.for_camera(camera))


def read_parameters(node: Node, changed: Sequence[Parameter] = ()) -> Parameters:
    """The node's parameters, validated, with `changed` ones as if they were set. Raises ParameterError."""
    new = {parameter.name: parameter.value for parameter in changed}

    def read(spec: ParameterSpec) -> Any:
        if spec.name in new:
            value = new[spec.name]
        elif node.has_parameter(spec.name):
            value = node.get_parameter(spec.name).value
        else:  # of a camera that is being named
            value = spec.default
        validate(spec, value)
        return value

    return _parameters(read)


def _parameters(read: _Read) -> Parameters:
    cameras = tuple(_camera(name, read) for name in read(NODE_PARAMETERS["cameras"]))
    values = {name: read(spec) for name, spec in NODE_PARAMETERS.items()}
    return Parameters(
        model=values["model"].strip(),
        options=LoadOptions(
            device=values["device"],
            precision=values["precision"],
            revision=values["revision"],
            compile=values["compile"],
            inference_size=values["inference_size"],
            mask_inference_size=values["mask_inference_size"],
            engine=values["engine"],
            providers=tuple(name for name in values["providers"] if name),
            export_folder=values["export_folder"],
        ),
        cameras=cameras,
        classes=tuple(name for name in values["classes"] if name),
        initial_vocabulary=values["initial_vocabulary"],
        vocabulary_file=values["vocabulary_file"],
        model_timeout_s=values["model_timeout"],
        vocabulary_timeout_s=values["vocabulary_timeout"],
        fixed_frame=values["fixed_frame"],
        target_frame=values["target_frame"],
        target_frame_tolerance_s=values["target_frame_tolerance"],
        min_inference_period_s=values["min_inference_period"],
        image_limits=ImageLimits(values["max_image_side"], values["max_image_pixels"]),
        limits=Limits(
            classes=values["max_classes"],
            prompts=values["max_prompts"],
            characters=values["max_prompt_length"],
            total_prompts=values["max_total_prompts"],
            exemplar_pixels=values["max_image_pixels"],
        ),
        max_kept_objects=values["max_kept_objects"],
        settings=Settings(
            default_threshold=values["default_threshold"],
            min_area=values["min_area"],
            max_objects=values["max_objects"],
            track=values["track"],
            output_scale=values["output_scale"],
            propagation=values["propagation"],
            inference_every=values["inference_every"],
            detection_interval_s=values["detection_interval"],
        ),
    )


def _camera(camera: str, read: _Read) -> CameraParameters:
    values = {suffix: read(spec.for_camera(camera)) for suffix, spec in CAMERA_PARAMETERS.items()}
    masked = values.pop("mask_classes")
    mask_classes = tuple(normalised(name) for name in masked if name)
    return CameraParameters(camera, **values, mask_classes=mask_classes)
