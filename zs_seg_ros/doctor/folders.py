# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The folders into which models and ROS's logs are written, and whether this user may write there."""

from __future__ import annotations

from pathlib import Path

from zs_seg_ros.doctor.check import Check, error, ok, warning
from zs_seg_ros.doctor.machine import Machine
from zs_seg_ros.shown import shown

_MODELS_REMEDY = (
    "Set HF_HOME to a folder into which you may write, here and where the node runs, or fetch models as a user who may "
    "write into this one."
)
_LOGS_REMEDY = "Set HOME, or ROS_LOG_DIR to a folder into which you may write."


def check_folders(machine: Machine) -> list[Check]:
    """Check the folder of the models and, where there is a ROS 2, that of its logs."""
    checks = []
    if problem := _problem(machine, models_folder(machine)):
        checks.append(warning("folder of models", f"zs-seg fetch fails: {problem}", _MODELS_REMEDY))
    else:
        checks.append(ok("folder of models", shown(models_folder(machine), 300)))
    if machine.has_ros():
        if problem := _problem(machine, logs_folder(machine)):
            checks.append(error("folder of logs", f"no node starts: {problem}", _LOGS_REMEDY))
        else:
            checks.append(ok("folder of logs", shown(logs_folder(machine), 300)))
    return checks


def models_folder(machine: Machine) -> Path:
    """Return the folder in which huggingface_hub keeps models."""
    if folder := machine.environment.get("HF_HUB_CACHE"):
        return machine.expanded(folder)
    if folder := machine.environment.get("HF_HOME"):
        return machine.expanded(folder)
    if folder := machine.environment.get("XDG_CACHE_HOME"):
        return machine.expanded(folder) / "huggingface"
    return machine.expanded("~/.cache/huggingface")


def logs_folder(machine: Machine) -> Path:
    """Return the folder into which nodes write their logs."""
    if folder := machine.environment.get("ROS_LOG_DIR"):
        return machine.expanded(folder)
    if folder := machine.environment.get("ROS_HOME"):
        return machine.expanded(folder) / "log"
    home = machine.environment.get("HOME")  # unlike Python, rclpy looks up no other
    return Path(home or "~") / ".ros" / "log"


def _problem(machine: Machine, folder: Path) -> str:
    """Return why nothing can be written into a folder, which need not exist yet; empty where it can."""
    if folder.parts[0] == "~":
        return "HOME is not set"
    existing = machine.existing(folder)
    if not machine.is_folder(existing):
        return f"{shown(existing, 300)} is no folder"
    if not machine.may_write(existing):
        place = shown(folder, 300)
        return f"this user may not write into {shown(existing, 300)}" + (
            "" if existing == folder else f", in which {place} has to be made"
        )
    return ""
