# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`make demo STUDIO=1`: the simulated camera, the node without a vocabulary, and the studio, until ctrl-C."""

from __future__ import annotations

import socket
import time
import webbrowser
from pathlib import Path

from processes import DemoError, RosProcesses

from zs_seg_ros.cli.studio_arguments import DEFAULT_PORT

_TIMEOUT_S = 60.0
_POLL_S = 0.5


def serve_studio(log_folder: Path, node_parameters: dict[str, str]) -> None:
    """Start the processes, open the page where there is a browser, and go on until interrupted.

    Raises DemoError, or ProcessError when one of them ends.
    """
    link = f"http://127.0.0.1:{DEFAULT_PORT}/"
    with RosProcesses(log_folder) as processes:
        processes.start("segmentation_node", {**node_parameters, "camera.depth": "true"})
        processes.start("tabletop_camera", {})
        processes.start("studio", {})
        _wait_for_page(processes)
        print(f"Open {link} in a browser and type: red duck. Ctrl-C ends the demo.", flush=True)
        webbrowser.open(link)
        while True:
            processes.check()
            time.sleep(_POLL_S)


def _wait_for_page(processes: RosProcesses) -> None:
    end_s = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < end_s:
        processes.check()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", DEFAULT_PORT)) == 0:
                return
        time.sleep(_POLL_S)
    raise DemoError(f"the studio did not serve its page within {_TIMEOUT_S:.0f} s")
