# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The description of one ROS parameter. Imports no ROS, so that documentation and tests can read it anywhere."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import Enum

ParameterValue = bool | int | float | str | tuple[str, ...]

CAMERA_PREFIX = "CAM."
"""Start of the names of parameters that each camera has; CAM stands for the camera's name."""

_TYPE_NAMES = {bool: "bool", int: "integer", float: "double", str: "string", tuple: "string array"}


class Changeable(Enum):
    """When a parameter can change."""

    BEFORE_START = "only before the start"
    UNCONFIGURED = "only while the node is unconfigured"
    ANY_TIME = "at any time"


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter: its name, default, limits and description.

    name: `CAM.` in front where each camera has one. default: also determines the type. summary: one sentence, for
    launch arguments and comments in configuration files. details: further sentences; may be empty. range: least and
    greatest value of a number, both allowed. step: between the values of an integer, from the least on. choices: all
    values of a string that are allowed; empty for any. unit: of a number; empty for none.
    """

    name: str
    default: ParameterValue
    summary: str
    details: str = ""
    changeable: Changeable = Changeable.ANY_TIME
    range: tuple[float, float] | None = None
    step: int = 1
    choices: tuple[str, ...] = ()
    unit: str = ""

    @property
    def type_name(self) -> str:
        """The type as `ros2 param describe` prints it."""
        return _TYPE_NAMES[type(self.default)]

    @property
    def per_camera(self) -> bool:
        """Whether each camera has a parameter of its own."""
        return self.name.startswith(CAMERA_PREFIX)

    @property
    def description(self) -> str:
        """Summary and details."""
        return f"{self.summary} {self.details}".rstrip()

    @property
    def default_text(self) -> str:
        """The default as people type it in YAML and on the command line."""
        return json.dumps(self.default)

    @property
    def allowed_text(self) -> str:
        """The values that are allowed, for people; empty when the type is the only limit."""
        if self.range is not None:
            low, high = self.range
            numbers = f"{low} to {high}"
            if self.step > 1:
                numbers = ", ".join(map(str, range(int(low), int(high) + 1, self.step)))
            return f"{numbers} {self.unit}".rstrip()
        return ", ".join(self.choices)

    def for_camera(self, camera: str) -> ParameterSpec:
        """The same parameter of one camera, with its name in place of CAM."""
        return replace(
            self,
            name=self.name.replace("CAM", camera),
            summary=self.summary.replace("CAM", camera),
            details=self.details.replace("CAM", camera),
        )


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that the documentation lists under one heading."""

    title: str
    parameters: tuple[ParameterSpec, ...]
