"""A segmentation_node of our own for one replay: with the right parameters, in a ROS domain of its own."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from zs_seg_ros.bags.bag_cameras import BagCamera
from zs_seg_ros.errors import ReplayError
from zs_seg_ros.replay.results import EXEMPLARS, RunSettings
from zs_seg_ros.ros.child_process import ChildProcess
from zs_seg_ros.ros.node_under_test import NodeUnderTest
from zs_seg_ros.vocabulary.vocabulary import TargetClass

_NODE = "zs_seg"
_START_TIMEOUT_S = 600.0
_FIRST_DDS_PORT, _PORTS_OF_A_DOMAIN, _LAST_DOMAIN = 7400, 250, 101


@dataclass(frozen=True)
class NodeRequest:
    """The node to start: what the command line says of it. parameters: "name:=value", before all others. log: a file.

    Empty: as in params_file, or else as in the golden file, or else the node's own default.
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
    """The node, ACTIVE, as long as the block runs. golden: what the golden file was made with.

    Raises ReplayError and ProcessError when it does not become ACTIVE, and in the block when it has died.
    """
    made_with = None if request.params_file is not None else golden
    classes = request.classes
    if made_with is not None and not classes:
        classes = made_with.classes
        if made_with.settings.get(EXEMPLARS):
            raise ReplayError(
                "the golden file was made with example images, which it does not keep: name the node's "
                "--params-file, or start the node and name it with --node"
            )
    arguments = _arguments(request, cameras, made_with, own_classes=bool(classes))
    _have_a_domain_of_our_own()
    try:
        child = ChildProcess("segmentation_node", arguments, request.log)
    except OSError as error:
        raise ReplayError(f"the log {request.log} cannot be written: {error.strerror}") from error
    with child, NodeUnderTest(f"/{_NODE}", child.check) as node:
        node.wait_until_active(_START_TIMEOUT_S)
        if classes:
            node.set_vocabulary(classes, _START_TIMEOUT_S)
        yield node


def _arguments(
    request: NodeRequest,
    cameras: Sequence[BagCamera],
    made_with: RunSettings | None,
    *,
    own_classes: bool,
) -> list[str]:
    """The last ones go before the first."""
    arguments = ["--ros-args"]
    if request.params_file is not None:
        arguments += ["--params-file", str(request.params_file)]
    if made_with is not None:
        settings = {name: v for name, v in made_with.settings.items() if name != EXEMPLARS}
        arguments += _parameters({"model": made_with.model, **settings})
    own: dict[str, object] = {"cameras": [camera.name for camera in cameras]}
    for name, value in (("model", request.model), ("device", request.device)):
        if value:
            own[name] = value
    if own_classes:
        own["vocabulary_file"] = ""  # the robot's own, which the node would write over
    for camera in cameras:
        own |= {
            f"{camera.name}.transport": camera.transport,
            f"{camera.name}.depth": bool(camera.depth),
            f"{camera.name}.depth_transport": camera.depth_transport,
        }
    arguments += _parameters(own)
    for parameter in request.parameters:
        arguments += ["-p", f"{_NODE}:{parameter}"]
    return arguments


def _parameters(values: Mapping[str, object]) -> list[str]:
    """Arguments for this very node, which go before what a file says of all nodes."""
    return [
        word
        for name, value in values.items()
        for word in ("-p", f"{_NODE}:{name}:={json.dumps(value)}")
    ]


def _have_a_domain_of_our_own() -> None:
    """On this machine alone, with room for images where the user has not said otherwise."""
    os.environ["ROS_DOMAIN_ID"] = str(_free_domain())
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    if os.environ.get("ROS_DISTRO") == "humble":
        os.environ["ROS_LOCALHOST_ONLY"] = "1"
    try:
        share = Path(get_package_share_directory("zs_seg_ros"))
    except PackageNotFoundError:
        return
    for variable in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        os.environ.setdefault(variable, str(share / "config" / "fastdds_large_images.xml"))


def _free_domain() -> int:
    """One in which nobody on this machine takes part, as far as its first port tells."""
    first = os.getpid() % _LAST_DOMAIN
    for step in range(_LAST_DOMAIN):
        domain = 1 + (first + step) % _LAST_DOMAIN
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", _FIRST_DDS_PORT + _PORTS_OF_A_DOMAIN * domain + 10))
            except OSError:
                continue
        return domain
    raise ReplayError("all ROS domains of this machine are in use; end nodes that nobody needs")
