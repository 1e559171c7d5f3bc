#!/usr/bin/env python3
# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Write docs/parameters.md and config/segmentation.yaml from the table of parameters; `make parameters` runs it.

tests/docs/test_parameter_sources.py fails while either file differs from what this script writes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import yaml

from zs_seg_ros.ros.parameters.spec import Changeable, ParameterGroup, ParameterSpec, ParameterValue
from zs_seg_ros.ros.parameters.table import (
    CAMERA_PARAMETERS,
    NODE_PARAMETERS,
    PARAMETER_GROUPS,
)

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "parameters.md"
CONFIGURATION = ROOT / "config" / "segmentation.yaml"
_COMMENT_WIDTH = 116

_PAGE_START = """\
<!-- Written by `make parameters` from the tables in zs_seg_ros/ros/parameters: change those, not this page. -->

# Parameters

All parameters of `segmentation_node`. [config/segmentation.yaml](../config/segmentation.yaml) sets each of them to its
default; a file of your own needs only what differs:

```yaml
/**:
  ros__parameters:
    cameras: [front, rear]
    front:
      depth: true
    rear:
      transport: compressed
      reliability: best_effort
    classes: [red mug, soccer ball]
    default_threshold: 0.4
```

Start the node with `params_file:=` and the file's path. Some parameters are also launch arguments, which take
precedence over the file: `ros2 launch zs_seg_ros segmentation.launch.py --show-args` lists them. A value that is not
allowed is refused with the reason.

```
ros2 param describe /zs_seg default_threshold
ros2 param set /zs_seg default_threshold 0.4
```

The column *can change* says when a new value is accepted:

| can change | meaning |
|---|---|
| at any time | while the node runs, with effect within a second |
| unconfigured | before `configure` or after `cleanup`, because a loaded model depends on it |
| before the start | in a parameter file or as an argument |
"""

_CAMERA_TEXT = """
`CAM` is a name from the parameter `cameras`. The node declares these parameters for each camera, also for cameras that
are added while it runs.

```
ros2 param set /zs_seg cameras "[camera, front]"
ros2 param set /zs_seg front.transport compressed
```
"""

_CONFIGURATION_START = """\
# All parameters of segmentation_node with their defaults. docs/parameters.md describes them in full.
# Written by `make parameters` from the tables in zs_seg_ros/ros/parameters. Copy it for a robot, and edit the copy.
# Parameters can change at any time, with effect within a second, unless the comment says when.
/**:
  ros__parameters:
"""
_WHEN = {
    Changeable.BEFORE_START: " Only before the start.",
    Changeable.UNCONFIGURED: " Only while unconfigured.",
    Changeable.ANY_TIME: "",
}


def parameters_page() -> str:
    """docs/parameters.md: one table for each group."""
    parts = [_PAGE_START]
    for group in PARAMETER_GROUPS:
        parts.append(f"\n## {group.title}\n")
        if any(spec.per_camera for spec in group.parameters):
            parts.append(_CAMERA_TEXT)
        parts.append(
            "\n| name | type | default | allowed | can change | description |\n|---|---|---|---|---|---|\n"
        )
        parts += [_row(spec) for spec in group.parameters]
    return "".join(parts)


def _row(spec: ParameterSpec) -> str:
    allowed = ", ".join(f"`{choice}`" for choice in spec.choices) or spec.allowed_text
    when = spec.changeable.value.removeprefix("only ").removeprefix("while the node is ")
    cells = (
        f"`{spec.name}`",
        spec.type_name,
        f"`{spec.default_text}`",
        allowed,
        when,
        spec.description,
    )
    return f"| {' | '.join(cells)} |\n"


def configuration_file() -> str:
    """config/segmentation.yaml: every parameter with its default, the cameras' own under each camera's name."""
    groups = ["\n".join(_group_entries(group)) for group in PARAMETER_GROUPS]
    return _CONFIGURATION_START + "\n\n".join(groups) + "\n"


def _group_entries(group: ParameterGroup) -> Iterator[str]:
    if all(spec.per_camera for spec in group.parameters):
        cameras = NODE_PARAMETERS["cameras"].default
        assert isinstance(cameras, tuple)
        for camera in cameras:
            yield f"    {camera}:  # parameters of the camera with this name"
            for name, spec in CAMERA_PARAMETERS.items():
                yield from _entry(spec.for_camera(camera), name, indent=6)
    else:
        for spec in group.parameters:
            yield from _entry(spec, spec.name, indent=4)


def _entry(spec: ParameterSpec, key: str, indent: int) -> Iterator[str]:
    """The comment and the line of one parameter."""
    comment = spec.summary
    if spec.range is not None:
        comment += f" Allowed: {spec.allowed_text}."
    comment += _WHEN[spec.changeable]
    margin = " " * indent
    yield from textwrap.wrap(
        comment, _COMMENT_WIDTH, initial_indent=f"{margin}# ", subsequent_indent=f"{margin}# "
    )
    yield f"{margin}{key}: {_yaml(spec.default)}"


def _yaml(value: ParameterValue) -> str:
    """A value as YAML on one line."""
    plain = list(value) if isinstance(value, tuple) else value
    in_list: str = yaml.safe_dump([plain], default_flow_style=True, width=10_000)
    return in_list.strip()[1:-1]


def main() -> None:
    PAGE.write_text(parameters_page(), encoding="utf-8")
    CONFIGURATION.write_text(configuration_file(), encoding="utf-8")


if __name__ == "__main__":
    main()
