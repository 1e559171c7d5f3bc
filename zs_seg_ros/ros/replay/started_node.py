# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Starts a segmentation_node for one replay, with the parameters of the golden file, in an unused ROS domain."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from zs_seg_ros.bags.bag_cameras import BagCamera
from zs_seg_ros.errors import FileError, ReplayError
from zs_seg_ros.replay.results import EXEMPLARS, RunSettings
from zs_seg_ros.ros.child_process import ChildProcess
from zs_seg_ros.ros.own_domain import use_own_domain
from zs_seg_ros.ros.replay.node_under_test import NodeUnderTest
from zs_seg_ros.vocabulary.vocabulary import TargetClass

_NODE = "zs_seg"
_START_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class NodeRequest:
    """The node to start, as the command line describes it.

    log: the file for its output. parameters: "name:=value"; they override all others. What is left empty is
    taken from params_file, else from the golden file, else it is the node's default.
    """

    log: Path
    model: str = ""
    device: str = ""
    classes: tuple[TargetClass, ...] = ()
    params_file: Path | None = None
    parameters: tuple[str, ...] = ()


@contextmanager
def started_node(
    request: NodeRequest, cameras: Sequence[BagCamera], golden: RunSettings | None
) -> Iterator[NodeUnderTest]:
    """Keep a node ACTIVE while the block runs. golden: the settings that the golden file was made with.

    Raises ReplayError, DomainError and ProcessError when it does not become ACTIVE, and inside the block when it has
    ended.
    """
    settings = None if request.params_file is not None else golden
    classes = request.classes
    if settings is not None and not classes:
        classes = settings.classes
        if settings.settings.get(EXEMPLARS):
            raise ReplayError(
                "the golden file was made with example images, which it does not keep: name the node's "
                "--params-file, or start the node and name it with --node"
            )
    arguments = _arguments(request, cameras, settings, override_classes=bool(classes))
    use_own_domain()
    _use_profile_of_large_images()
    try:
        child = ChildProcess("segmentation_node", arguments, request.log)
    except FileError as error:
        raise ReplayError(f"the log {error}") from error
    with child, NodeUnderTest(f"/{_NODE}", child.check, request.log) as node:
        node.wait_until_active(_START_TIMEOUT_S)
        if classes:
            node.set_vocabulary(classes, _START_TIMEOUT_S)
        yield node


def _arguments(
    request: NodeRequest,
    cameras: Sequence[BagCamera],
    golden: RunSettings | None,
    *,
    override_classes: bool,
) -> list[str]:
    """Return the node's arguments; a later one overrides an earlier one."""
    arguments = ["--ros-args"]
    if request.params_file is not None:
        arguments += ["--params-file", str(request.params_file)]
    if golden is not None:
        settings = {name: v for name, v in golden.settings.items() if name != EXEMPLARS}
        arguments += _parameters({"model": golden.model, **settings})
    # What a robot's file says about the model's pace would make results depend on the speed of the machine.
    requested: dict[str, object] = {
        "cameras": [camera.name for camera in cameras],
        "propagation": "off",
        "min_inference_period": 0.0,
    }
    for name, value in (("model", request.model), ("device", request.device)):
        if value:
            requested[name] = value
    if override_classes:
        requested["vocabulary_file"] = ""  # the node would overwrite the robot's file
    for camera in cameras:
        requested |= {
            f"{camera.name}.transport": camera.transport,
            f"{camera.name}.image_topic": camera.image,
            f"{camera.name}.depth": bool(camera.depth),
            f"{camera.name}.depth_transport": camera.depth_transport,
            f"{camera.name}.depth_topic": camera.depth,
            f"{camera.name}.info_topic": camera.info,
        }
    arguments += _parameters(requested)
    for parameter in request.parameters:
        arguments += ["-p", f"{_NODE}:{parameter}"]
    return arguments


def _parameters(values: Mapping[str, object]) -> list[str]:
    """Return arguments that name this node, so that they override the parameters of `/**` in a file."""
    return [
        word
        for name, value in values.items()
        for word in ("-p", f"{_NODE}:{name}:={json.dumps(value)}")
    ]


def _use_profile_of_large_images() -> None:
    """Set a DDS profile for large images in the environment, if none is set."""
    try:
        share = Path(get_package_share_directory("zs_seg_ros"))
    except PackageNotFoundError:
        return
    for variable in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        os.environ.setdefault(variable, str(share / "config" / "fastdds_large_images.xml"))
