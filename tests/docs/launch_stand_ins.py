# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Launch files without launch, which is not on PyPI: stand-ins with the names that ours import, and no others."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import zs_seg_ros  # noqa: F401  (within `patch.dict`, numpy would be imported anew for each launch file)

NAMES = {
    "launch": ("Action", "LaunchContext", "LaunchDescription"),
    "launch.actions": (
        "DeclareLaunchArgument",
        "IncludeLaunchDescription",
        "LogInfo",
        "OpaqueFunction",
        "SetEnvironmentVariable",
        "Shutdown",
    ),
    "launch.events": (),
    "launch.events.process": ("ProcessExited",),
    "launch.launch_description_sources": ("PythonLaunchDescriptionSource",),
    "launch.substitutions": ("LaunchConfiguration", "TextSubstitution"),
    "launch_ros": (),
    "launch_ros.actions": ("Node",),
    "launch_ros.parameter_descriptions": ("ParameterValue",),
}


class Recorded:
    """An object that a launch file creates; it records its arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    def perform(self, context: dict[str, str]) -> str:
        """Return the value of a LaunchConfiguration in `context`, which stands for a LaunchContext."""
        return context[self.args[0]]

    @property
    def name(self) -> str:
        """Return the name of a DeclareLaunchArgument."""
        return str(self.args[0])

    @property
    def kind(self) -> str:
        return type(self).__name__


class Context(dict[str, str]):
    """Stands for a LaunchContext: the values of all arguments."""

    is_shutdown = False

    @property
    def launch_configurations(self) -> dict[str, str]:
        """Return the values by name."""
        return self


def _modules() -> dict[str, ModuleType]:
    modules = {}
    for name, classes in NAMES.items():
        modules[name] = module = ModuleType(name)
        for class_name in classes:
            setattr(module, class_name, type(class_name, (Recorded,), {}))
    return modules


def entities_of(file: Path) -> list[Any]:
    """Return the entities of a launch description, with included files expanded."""
    with patch.dict(sys.modules, _modules()):
        description = runpy.run_path(str(file))["generate_launch_description"]()
    entities = []
    for entity in description.args[0]:
        if entity.kind == "IncludeLaunchDescription":
            entities += entities_of(Path(entity.args[0].args[0]))
        entities.append(entity)
    return entities


def arguments_of(file: Path) -> dict[str, Recorded]:
    """Return the declared arguments by name."""
    return {e.args[0]: e for e in entities_of(file) if e.kind == "DeclareLaunchArgument"}


def started_by(file: Path, **given: str) -> list[Recorded]:
    """Return the actions of a file's OpaqueFunctions, when launched with these arguments."""
    defaults = {
        name: str(argument.kwargs.get("default_value", ""))
        for name, argument in arguments_of(file).items()
    }
    context = Context(defaults | given)
    functions = [e.kwargs["function"] for e in entities_of(file) if e.kind == "OpaqueFunction"]
    return [action for function in functions for action in function(context)]
