# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Executes `ros2 service call`, `param`, `topic`, `lifecycle` and `interface` with rclpy against running nodes.

The real ros2cli is not among the wheels on PyPI. This one supports the commands in the pages and no others.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from planner import Planner, wait_until


class Ros2Commands:
    """Each command raises AssertionError when it would not work. planners: one for each node, by its name."""

    def __init__(self, planners: Mapping[str, Planner]) -> None:
        self._planners = planners
        self._commands: dict[str, Callable[..., None]] = {
            "service call": self._service_call,
            "param set": self._param_set,
            "param get": self._param_get,
            "param describe": self._param_get,
            "topic echo": self._topic,
            "topic hz": self._topic,
            "topic list": self._list,
            "node list": self._list,
            "lifecycle get": self._lifecycle_get,
            "lifecycle set": self._lifecycle_set,
            "interface show": self._interface_show,
        }

    def check(self, words: list[str], mention: bool) -> None:
        """Check a command that begins with ros2. mention: a command without any argument is only named."""
        name, arguments = " ".join(words[1:3]), words[3:]
        assert name in self._commands, f"no check for `ros2 {name}`; see {__name__}.py"
        if arguments or not mention:
            self._commands[name](*arguments)

    def _planner(self, node: str) -> Planner:
        assert node in self._planners, f"no page starts {node}"
        return self._planners[node]

    def _service_call(self, service: str, type_name: str, text: str = "{}") -> None:
        kind = interface(type_name, "srv")
        node, _, name = service.rpartition("/")
        request = filled(kind.Request(), yaml.safe_load(text))
        response = self._planner(node).call(kind, name, request)
        # These nodes run a stand-in for a model, which can do less than a model.
        by_stand_in = getattr(response, "message", "").startswith("the model fake has no")
        assert getattr(response, "success", True) or by_stand_in, response.message

    def _param_set(self, node: str, name: str, value: str) -> None:
        self._wait_for_parameter(node, name)
        result = self._planner(node).set_parameters({name: yaml.safe_load(value)})
        assert result.successful, result.reason

    def _param_get(self, node: str, name: str) -> None:
        self._wait_for_parameter(node, name)

    def _wait_for_parameter(self, node: str, name: str) -> None:
        """Wait, because the parameters of a new camera are declared within a second."""
        planner = self._planner(node)
        wait_until(lambda: name in planner.parameter_names(), f"a parameter {name}", 10)

    def _topic(self, topic: str, *options: str) -> None:
        assert set(options) <= {"--once", "--no-arr"}, options
        graph = next(iter(self._planners.values())).node
        wait_until(lambda: topic in dict(graph.get_topic_names_and_types()), f"{topic}", 10)

    def _list(self, *options: str) -> None:
        assert set(options) <= {"-t"}, options

    def _lifecycle_get(self, node: str) -> None:
        assert self._planner(node).state

    def _lifecycle_set(self, node: str, transition: str) -> None:
        planner = self._planner(node)
        if transition == "activate" and planner.state == "active":
            assert planner.change_state("deactivate")
        assert planner.change_state(transition), transition

    def _interface_show(self, type_name: str) -> None:
        interface(type_name, type_name.split("/")[1])


def interface(type_name: str, kind: str) -> Any:
    """The class of `package/srv/Name`. Raises AssertionError when there is none."""
    package, middle, name = type_name.split("/")
    assert middle == kind, type_name
    module = importlib.import_module(f"{package}.{kind}")
    assert hasattr(module, name), f"there is no {type_name}"
    return getattr(module, name)


def filled(message: Any, values: dict[str, Any]) -> Any:
    """Return the message with these fields set; mappings are messages, as in YAML on the command line."""
    types = message.get_fields_and_field_types()
    for name, value in (values or {}).items():
        assert name in types, f"{type(message).__name__} has no field {name}; it has {list(types)}"
        nested = re.fullmatch(r"sequence<(\w+)/(\w+)>|(\w+)/(\w+)", types[name])
        if nested is None:
            current = getattr(message, name)
            same = isinstance(value, type(current)) or (
                isinstance(current, float) and isinstance(value, int)
            )
            assert same, f"{name} takes {types[name]}, not {value!r}"
            setattr(message, name, type(current)(value))
        else:
            package, kind = (nested[1], nested[2]) if nested[1] else (nested[3], nested[4])
            make = interface(f"{package}/msg/{kind}", "msg")
            parts = [filled(make(), v) for v in value] if nested[1] else filled(make(), value)
            setattr(message, name, parts)
    return message
