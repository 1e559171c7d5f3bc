# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Declaration of parameters from their descriptions."""

from __future__ import annotations

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import ParameterUninitializedException
from rclpy.node import Node
from rclpy.parameter import Parameter

from zs_seg_ros.ros.parameters.spec import ParameterSpec


def declare(node: Node, spec: ParameterSpec, *, read_only: bool = False) -> None:
    """Declare a parameter unless the node has it already. read_only: refuse every change after the start."""
    if node.has_parameter(spec.name):
        return
    default = list(spec.default) if isinstance(spec.default, tuple) else spec.default
    node.declare_parameter(spec.name, default, descriptor(spec, read_only=read_only))
    if isinstance(default, list):
        _give_empty_list_its_type(node, spec.name)


def descriptor(spec: ParameterSpec, *, read_only: bool = False) -> ParameterDescriptor:
    """What `ros2 param describe` shows. Default and time of change are texts, since it has no fields for them."""
    description = ParameterDescriptor(
        description=f"{spec.description} Default: {spec.default_text}.",
        additional_constraints=f"Can change {spec.changeable.value}.",
        read_only=read_only,
    )
    if spec.range is not None:
        low, high = spec.range
        if isinstance(spec.default, float):
            between = FloatingPointRange(from_value=low, to_value=high, step=0.0)
            description.floating_point_range = [between]
        else:
            between = IntegerRange(from_value=int(low), to_value=int(high), step=spec.step)
            description.integer_range = [between]
    return description


def _give_empty_list_its_type(node: Node, name: str) -> None:
    """`classes: []` in a file is a list without a type of its items, which rclpy takes for no value."""
    try:
        node.get_parameter(name)
    except ParameterUninitializedException:
        node.set_parameters([Parameter(name, Parameter.Type.STRING_ARRAY, [])])
