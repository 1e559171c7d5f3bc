"""Validation of parameter values, apart from reading and applying them. Imports no ROS."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from zs_seg_ros.ros.parameters.spec import ParameterSpec


class ParameterError(ValueError):
    """A parameter's value is refused."""


def validate(spec: ParameterSpec, value: Any) -> None:
    """Raise ParameterError unless the parameter can have this value. rclpy has checked its type already."""
    if spec.choices and value not in spec.choices:
        raise ParameterError(f"{spec.name} is {value!r}; it must be one of {spec.allowed_text}")
    if spec.range is not None:
        low, high = spec.range  # rclpy lets NaN through
        if not (math.isfinite(value) and low <= value <= high):
            raise ParameterError(f"{spec.name} is {value}; it must be {spec.allowed_text}")
    if rule := _RULES.get(spec.name):
        rule(value)


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
                f"cameras has {name!r}, which is no topic name; use letters, digits, _ and / between parts"
            )


_RULES: dict[str, Callable[[Any], None]] = {
    "model": _check_model,
    "cameras": _check_camera_names,
}
"""What choices and ranges cannot express."""
