# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The node `studio`: a client of a running node that serves a page for the browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import get_package_share_directory
from rclpy.node import Node

from zs_seg_ros.cli.bag_player import without_ros_arguments
from zs_seg_ros.cli.studio_arguments import access_of, parse
from zs_seg_ros.errors import StudioError
from zs_seg_ros.ros.process import run
from zs_seg_ros.ros.rclpy_services import answer_every_request
from zs_seg_ros.ros.studio.node_source import NodeSource
from zs_seg_ros.studio.access import Access
from zs_seg_ros.studio.labelled_frames import LabelledFrames
from zs_seg_ros.studio.server import StudioServer

_FAILED = 2


class Studio(Node):
    """Serves the page from construction until it is destroyed. Raises StudioError when the address is in use."""

    def __init__(
        self, of: str, access: Access, labelled: LabelledFrames | None = None, **arguments: Any
    ) -> None:
        """of: the full name of the node to show, such as /zs_seg. labelled: where accepted frames are saved."""
        super().__init__("studio", **arguments)
        answer_every_request(self)
        self._source = NodeSource(self, of)
        self._server = StudioServer(self._source, access, _presets(), labelled)
        self.get_logger().info(f"showing {of}: open {access.link} in a browser")

    def destroy_node(self) -> None:
        """End the server, and destroy the node."""
        self._server.stop()
        super().destroy_node()


def _presets() -> dict[str, str]:
    """Return the vocabularies of the installed presets, as texts of vocabulary files."""
    folder = Path(get_package_share_directory("zs_seg_ros")) / "config" / "presets"
    presets = {}
    for file in sorted(folder.glob("*.yaml")):
        parameters = yaml.safe_load(file.read_text(encoding="utf-8"))["/**"]["ros__parameters"]
        presets[file.stem] = str(parameters.get("initial_vocabulary", ""))
    return {name: text for name, text in presets.items() if text}


def main() -> None:
    """Run the executable `studio`."""
    own, sys.argv[1:] = without_ros_arguments(sys.argv[1:])
    arguments = parse(own)
    try:
        access = access_of(arguments)
        labelled = None if arguments.save is None else LabelledFrames(arguments.save)
        run(lambda: Studio(arguments.node, access, labelled))
    except StudioError as error:
        print(f"studio: {error}", file=sys.stderr)
        sys.exit(_FAILED)
