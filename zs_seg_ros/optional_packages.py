# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The command that installs a package which only some functions need: a robot's Python refuses pip (PEP 668)."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

ENVIRONMENT_MARK = "zs_seg_ros_environment"
"""The file that install_dependencies writes into its environment, in which its executables run."""
_WITHOUT_DEPENDENCIES = ("timm",)


def install_command(*packages: str) -> str:
    """Return the command that installs packages for the Python that runs."""
    if _is_made_by_install_dependencies():
        return f"ros2 run zs_seg_ros install_dependencies --also {shlex.join(packages)}"
    alone = " --no-deps" if set(packages) <= set(_WITHOUT_DEPENDENCIES) else ""
    return f"python3 -m pip install{alone} {shlex.join(packages)}"


def pip_command() -> str:
    """Return the command of the pip that changes the packages of the Python that runs."""
    python = sys.executable if _is_made_by_install_dependencies() else "python3"
    return f"{shlex.quote(python)} -m pip"


def _is_made_by_install_dependencies() -> bool:
    return (Path(sys.prefix) / ENVIRONMENT_MARK).is_file()
