# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Commands in messages about packages that are missing."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from zs_seg_ros.optional_packages import ENVIRONMENT_MARK, install_command, pip_command

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("packages", "command"),
    [
        (("onnx", "onnxruntime"), "python3 -m pip install onnx onnxruntime"),
        (("onnx>=1.19,<2",), "python3 -m pip install 'onnx>=1.19,<2'"),
        (("timm",), "python3 -m pip install --no-deps timm"),
    ],
)
def test_in_a_python_of_the_users_own_pip_installs(
    packages: tuple[str, ...], command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert install_command(*packages) == command
    assert pip_command() == "python3 -m pip"


@pytest.mark.parametrize(
    ("packages", "also"),
    [(("onnx", "onnxruntime"), "onnx onnxruntime"), (("ray>=2.9,<3",), "'ray>=2.9,<3'")],
)
def test_in_the_environment_of_install_dependencies_it_installs(
    packages: tuple[str, ...], also: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ENVIRONMENT_MARK).touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    command = "ros2 run zs_seg_ros install_dependencies"
    assert install_command(*packages) == f"{command} --also {also}"
    assert pip_command() == f"{tmp_path}/bin/python -m pip"


def test_what_it_knows_of_install_dependencies_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "executables"))
    environment = runpy.run_path(str(ROOT / "executables" / "zs_seg_environment.py"))
    installation = runpy.run_path(str(ROOT / "executables" / "zs_seg_installation.py"))
    assert environment["COMPLETE"] == ENVIRONMENT_MARK
    assert "timm" in installation["WITHOUT_DEPENDENCIES"]
