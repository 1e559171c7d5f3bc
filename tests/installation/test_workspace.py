# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The environment of the repository itself, `make workspace`: what is said before the download begins."""

from __future__ import annotations

import json
import re
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "scripts"), str(ROOT / "executables")]

from test_install_dependencies import write_wheel  # noqa: E402
from zs_seg_installation import described_size  # noqa: E402

from workspace import build, environment  # noqa: E402
from workspace.choice import Workspace  # noqa: E402


def test_the_size_is_that_of_the_files_of_a_report(tmp_path: Path) -> None:
    for name, size in (("a.whl", 2_500_000), ("b.whl", 750_000)):
        (tmp_path / name).write_bytes(b"0" * size)
    names = ("a.whl", "b.whl", "missing.whl")
    items = [{"download_info": {"url": (tmp_path / name).as_uri()}} for name in names]
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"install": items}))
    assert described_size(report) == "2 packages, 3.2 MB in all, and 1 of unknown size"


def test_the_size_is_printed_before_anything_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wheels, folder = tmp_path / "wheels", tmp_path / "work"
    wheels.mkdir()
    write_wheel(wheels, "alpha", "1.0", {"alpha.py": "# " + "x" * 500_000}, requires="beta")
    write_wheel(wheels, "beta", "2.0", {"beta.py": ""})
    requirements = tmp_path / "requirements"
    requirements.mkdir()
    (requirements / "constraints.txt").write_text("beta==2.0\n")
    (requirements / "runtime.txt").write_text("alpha\n")
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(wheels))):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(environment, "REQUIREMENTS", requirements)
    monkeypatch.setattr(environment, "requirement_files", lambda _: [requirements / "runtime.txt"])
    monkeypatch.setattr(Workspace, "folder", folder)
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    workspace = Workspace("jazzy", sourced=False)
    venv.create(workspace.environment, with_pip=True)
    environment._install(workspace)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Downloading 2 packages, 0.5 MB in all, unless pip has them already."
    assert lines[1].startswith("Installing packages")
    [packages] = workspace.environment.glob("lib/python3*/site-packages")
    assert (packages / "alpha.py").is_file() and (packages / "beta.py").is_file()
    assert not (folder / "pip_report.json").exists()


def test_every_file_that_cmake_reads_makes_the_package_be_built_again_when_it_changes() -> None:
    text = (ROOT / "CMakeLists.txt").read_text().replace("${PROJECT_NAME}", "zs_seg_ros")
    words = re.findall(r"[\w./-]+", re.sub(r"#.*", "", text.partition("if(BUILD_TESTING)")[0]))
    read = {word.partition("/")[0] for word in words if (ROOT / word).exists()} - {"", "."}
    assert {"msg", "srv", "src", "launch", "zs_seg_ros"} <= read
    assert read <= set(build.SOURCES)
    assert all((ROOT / name).exists() for name in build.SOURCES)
