# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The modules that the package imports, its public names and its version."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import zs_seg_ros


@pytest.mark.parametrize(
    "module",
    [
        "zs_seg_ros",
        "zs_seg_ros.cli.label",
        "zs_seg_ros.cli.main",
        "zs_seg_ros.perception.overlay",
        "zs_seg_ros.bags.playback",
        "zs_seg_ros.segmenters.fake",
    ],
)
def test_it_imports_neither_torch_nor_ros(module: str, tmp_path: Path) -> None:
    heavy = "{'torch', 'transformers', 'huggingface_hub', 'rclpy', 'cv_bridge', 'ray'}"
    code = f"import sys, {module}; print(sorted({heavy} & sys.modules.keys()))"
    package_folder = str(Path(zs_seg_ros.__file__).parents[1])
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{package_folder}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "[]"


def test_every_public_name_is_there_and_listed_in_order() -> None:
    assert zs_seg_ros.__all__ == sorted(zs_seg_ros.__all__)
    for name in zs_seg_ros.__all__:
        assert hasattr(zs_seg_ros, name), name


def test_every_public_class_of_the_core_is_exported() -> None:
    imported = {
        name
        for name, value in vars(zs_seg_ros).items()
        if isinstance(value, type) and value.__module__.startswith("zs_seg_ros.")
    }
    assert imported <= set(zs_seg_ros.__all__)


def test_the_version_is_that_of_the_ros_package() -> None:
    package_xml = Path(__file__).parents[2] / "package.xml"
    [version] = re.findall("<version>(.*)</version>", package_xml.read_text())
    assert zs_seg_ros.__version__ == version
