# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Prepares the workspace, step by step."""

import argparse
import fcntl
import sys
from typing import TextIO

from .build import build_package, build_stand_ins
from .choice import Workspace, WorkspaceError, choose
from .environment import make_environment
from .machine import check
from .setup_script import write_setup_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ros", default="jazzy", help="whose wheels, where ROS 2 is not sourced")
    arguments = parser.parse_args()
    try:
        workspace = choose(arguments.ros)
        check(workspace)
        _prepare(workspace)
    except WorkspaceError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Interrupted: run the same command again to go on.")


def _wait_for(lock: TextIO) -> None:
    """Wait for a run in another terminal; afterwards everything is up to date."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Waiting for another run that prepares the same workspace.", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def _prepare(workspace: Workspace) -> None:
    workspace.folder.mkdir(parents=True, exist_ok=True)
    with (workspace.folder / "lock").open("w") as lock:
        _wait_for(lock)
        environment = make_environment(workspace)
        write_setup_script(workspace)
        build_stand_ins(workspace, environment)
        build_package(workspace, environment)
