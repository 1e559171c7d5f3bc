# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Validation of parameter values, apart from reading and applying them. Imports no ROS."""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from zs_seg_ros.ros.parameters.spec import ParameterSpec
from zs_seg_ros.shown import quoted, shown

_TOPIC_NAME = re.compile(r"(/|~/)?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")
_LONGEST_TOPIC_NAME = 200
"""ROS 2 allows 247 characters, of which the namespace of a relative name takes some."""
_FFMPEG_MESSAGES = "ffmpeg_image_transport_msgs"


class ParameterError(ValueError):
    """A parameter's value is refused. Its text is one printable line of at most 4000 characters."""

    def __str__(self) -> str:
        return shown(super().__str__(), 4000)


def validate(spec: ParameterSpec, value: Any) -> None:
    """Raise ParameterError unless the parameter can have this value. rclpy has checked its type already."""
    if spec.choices and value not in spec.choices:
        raise ParameterError(
            f"{spec.name} is {quoted(value)}; it must be one of {spec.allowed_text}"
        )
    if spec.range is not None:
        low, high = spec.range  # rclpy lets NaN through
        if not (math.isfinite(value) and low <= value <= high):
            raise ParameterError(f"{spec.name} is {value}; it must be {spec.allowed_text}")
    if rule := _RULES.get(spec.name):
        rule(value)
    camera, _, suffix = spec.name.rpartition(".")
    if camera and (camera_rule := _CAMERA_RULES.get(suffix)):
        camera_rule(spec.name, value)


def _check_model(name: str) -> None:
    if not name.strip():
        raise ParameterError("model is empty; give a built-in name, a folder or a Hugging Face id")


def _check_camera_names(names: Sequence[str]) -> None:
    """Each name is a part of topic names and occurs once."""
    if not names or any(not name for name in names):
        raise ParameterError(
            f"cameras is {list(names)}; name at least one camera, none of them empty"
        )
    if len(set(names)) != len(names):
        raise ParameterError(f"cameras is {list(names)}; a name occurs twice")
    for name in names:
        parts = name.split("/")
        if not all(p.isidentifier() and p.isascii() for p in parts):
            raise ParameterError(
                f"cameras has {quoted(name)}, which is no topic name; use letters, digits, _ and / between parts"
            )


def _check_topic_name(parameter: str, topic: str) -> None:
    if topic and (len(topic) > _LONGEST_TOPIC_NAME or not _TOPIC_NAME.fullmatch(topic)):
        raise ParameterError(
            f"{parameter} is {quoted(topic)}, which is no topic name; use letters, digits, _ and / between parts, at "
            f"most {_LONGEST_TOPIC_NAME} characters"
        )


def _check_fixed_frame(frame: str) -> None:
    if not frame.strip("/ "):
        raise ParameterError(
            "fixed_frame is empty; name a frame in which the world stands still, for example odom"
        )


def _check_transport(parameter: str, transport: str) -> None:
    if transport == "ffmpeg" and importlib.util.find_spec(_FFMPEG_MESSAGES) is None:
        raise ParameterError(
            f"{parameter} is 'ffmpeg', and the package {_FFMPEG_MESSAGES} is not installed: install "
            "ros-$ROS_DISTRO-ffmpeg-image-transport-msgs, or use the transport raw or compressed"
        )


_RULES: dict[str, Callable[[Any], None]] = {
    "model": _check_model,
    "cameras": _check_camera_names,
    "fixed_frame": _check_fixed_frame,
}
"""What choices and ranges cannot express."""

_CAMERA_RULES: dict[str, Callable[[str, Any], None]] = {
    "transport": _check_transport,
    "image_topic": _check_topic_name,
    "depth_topic": _check_topic_name,
    "info_topic": _check_topic_name,
    "lidar": _check_topic_name,
}
"""The same for parameters of cameras: of the parameter's full name and its value."""
