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
