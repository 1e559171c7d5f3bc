# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Parameters that were given for the node and that it does not have: typos in a file or on the command line."""

from __future__ import annotations

import difflib
from array import array
from collections.abc import Collection, Iterable, Mapping

from zs_seg_ros.ros.parameters.table import CAMERA_PARAMETERS
from zs_seg_ros.shown import quoted

_OF_RCLPY = ("use_sim_time", "start_type_description_service")
_PREFIX_OF_RCLPY = "qos_overrides."
_MOST_NAMED = 20


def without_defaults(given: Mapping[str, object]) -> list[str]:
    """Return the names of given parameters but for those of cameras that have their defaults.

    These change nothing, whether there is such a camera or not: config/segmentation.yaml has them all for a camera
    named camera, which a robot may not have.
    """
    return [name for name, value in given.items() if not _is_default(name, value)]


def _is_default(name: str, value: object) -> bool:
    camera, _, suffix = name.rpartition(".")
    if not camera or suffix not in CAMERA_PARAMETERS:
        return False
    default = CAMERA_PARAMETERS[suffix].default
    given = list(value) if isinstance(value, array | list | tuple) else value
    return given == (list(default) if isinstance(default, list | tuple) else default)


def unknown_parameters(given: Iterable[str], declared: Collection[str]) -> list[str]:
    """Return one sentence for each given name that is not declared, with the name that was probably meant."""
    unknown = sorted(
        name
        for name in given
        if name not in declared and name not in _OF_RCLPY and not name.startswith(_PREFIX_OF_RCLPY)
    )
    return [_sentence(name, declared) for name in unknown[:_MOST_NAMED]]


def _sentence(name: str, declared: Collection[str]) -> str:
    camera, _, suffix = name.rpartition(".")
    if camera and suffix in CAMERA_PARAMETERS:
        return (
            f"the parameter {quoted(name)} has no effect: there is no camera {quoted(camera)}; name it in cameras, or "
            "correct the name"
        )
    [nearest, *_] = [*difflib.get_close_matches(name, declared, 1), ""]
    hint = f"; {nearest} may be meant" if nearest else "; docs/parameters.md lists those that have"
    return f"the parameter {quoted(name)} has no effect: the node has none of this name{hint}"
