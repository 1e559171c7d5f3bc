# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The folders of models and logs: which they are, and whether this user may write there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from machines import ENVIRONMENT, machine

from zs_seg_ros.doctor.check import Check, Status
from zs_seg_ros.doctor.folders import check_folders, logs_folder, models_folder
from zs_seg_ros.doctor.machine import existing, may_write


def real(folder: Path, **environment: str) -> dict[str, Check]:
    """Check the folders of this machine, with other variables."""
    functions: dict[str, Any] = {"existing": existing, "is_folder": os.path.isdir}
    functions["may_write"] = may_write
    checks = check_folders(machine(folder, environment=environment, **functions))
    assert all(bool(check.remedy) == (check.status != Status.OK) for check in checks)
    return {check.name: check for check in checks}


def test_folders_that_need_not_exist_yet_are_all_right(tmp_path: Path) -> None:
    checks = real(tmp_path, HOME=str(tmp_path), ROS_LOG_DIR=str(tmp_path / "a" / "b"))
    assert [check.status for check in checks.values()] == [Status.OK, Status.OK]
    assert checks["folder of models"].text == str(tmp_path / ".cache" / "huggingface")
    assert checks["folder of logs"].text == str(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_named_with_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    checks = real(tmp_path, HF_HOME=str(tmp_path / "file"), HOME=str(tmp_path / "file" / "x"))
    models, logs = checks["folder of models"], checks["folder of logs"]
    assert models.status == Status.WARNING and "HF_HOME" in models.remedy
    assert models.text == f"zs-seg fetch fails: {tmp_path / 'file'} is no folder"
    assert logs.status == Status.ERROR and "ROS_LOG_DIR" in logs.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_permission_is_found_on_the_disk(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    models = real(tmp_path, HOME=str(tmp_path))["folder of models"]
    tmp_path.chmod(0o755)
    assert models.status == Status.WARNING and "may not write" in models.text


def test_a_folder_without_the_permission_is_named_with_what_has_to_be_made(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"may_write": lambda _: False, "existing": lambda _: Path("/home")}
    models, logs = check_folders(machine(tmp_path, **changes))
    assert models.text.endswith(
        "may not write into /home, in which /home/robot/.cache/huggingface has to be made"
    )
    assert logs.text.endswith(
        "may not write into /home, in which /home/robot/.ros/log has to be made"
    )
    [only] = check_folders(machine(tmp_path, has_ros=lambda: False, may_write=lambda _: False))
    assert only.text.endswith("may not write into /home/robot/.cache/huggingface")


def test_without_home_rclpy_fails_and_python_looks_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path.replace("~", "/home/by-id"))
    models, logs = check_folders(machine(tmp_path, environment={}))
    assert models.text == "/home/by-id/.cache/huggingface"
    assert logs.status == Status.ERROR and logs.text == "no node starts: HOME is not set"
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # an id without a name
    models, _ = check_folders(machine(tmp_path, environment={}))
    assert models.text == "zs-seg fetch fails: HOME is not set"
    for name in ("ROS_LOG_DIR", "ROS_HOME"):
        _, logs = check_folders(machine(tmp_path, environment={name: str(tmp_path)}))
        assert logs.status == Status.OK


@pytest.mark.parametrize(
    ("variables", "models", "logs"),
    [
        ({}, "/home/robot/.cache/huggingface", "/home/robot/.ros/log"),
        ({"HF_HOME": "~/m", "ROS_HOME": "~/r"}, "/home/robot/m", "/home/robot/r/log"),
        ({"HF_HUB_CACHE": "/z", "ROS_LOG_DIR": "/l"}, "/z", "/l"),
        ({"HF_HOME": "/~m", "ROS_LOG_DIR": "~"}, "/~m", "/home/robot"),
    ],
)
def test_the_variables_name_the_folders(
    tmp_path: Path, variables: dict[str, str], models: str, logs: str
) -> None:
    given = machine(tmp_path, environment=ENVIRONMENT | variables)
    assert (str(models_folder(given)), str(logs_folder(given))) == (models, logs)
