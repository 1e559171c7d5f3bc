# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The pins: one for each package and Python, and the script that resolves them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))

import resolve_requirements as script  # noqa: E402
from resolve_requirements import REQUIREMENTS, SETS, VERSIONS, WITHOUT_ROS  # noqa: E402

STAND_IN = """#!/bin/sh
for word in "$@"; do
  case "$previous $word" in "--python-version 3.13") echo "because alpha has no wheel" >&2; exit 1;; esac
  previous=$word
done
printf 'numpy==2.2.6\\nros_jazzy_rclpy[fastrtps]==7.1.6\\nnvidia-cublas==1.0\\nalpha==1.0\\n'
"""


def pins(path: Path, version: str) -> list[Requirement]:
    """Return the requirements of a file that hold for a version of Python."""
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    requirements = [Requirement(line) for line in lines if line]
    environment = {"python_version": version, "python_full_version": f"{version}.0"}
    return [each for each in requirements if not each.marker or each.marker.evaluate(environment)]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_package_has_one_version_for_each_python(version: str) -> None:
    for path in REQUIREMENTS.glob("*.txt"):
        names = [script._normal(each.name) for each in pins(path, version)]
        assert sorted(names) == sorted(set(names)), path
        for each in pins(path, version):
            assert [part.operator for part in each.specifier] == ["=="], f"{path}: {each}"


@pytest.mark.parametrize("version", VERSIONS)
def test_no_two_files_of_a_set_want_different_versions(version: str) -> None:
    for each in SETS:
        if version not in each.versions:
            continue
        chosen: dict[str, str] = {}
        for name in (*each.files, "constraints"):
            for pin in pins(REQUIREMENTS / f"{name}.txt", version):
                normal = script._normal(pin.name)
                assert chosen.setdefault(normal, str(pin.specifier)) == str(pin.specifier), normal


def test_python_3_14_gets_releases_that_have_a_wheel_for_it() -> None:
    new = {pin.name: str(pin.specifier) for pin in pins(REQUIREMENTS / "constraints.txt", "3.14")}
    old = {pin.name: str(pin.specifier) for pin in pins(REQUIREMENTS / "constraints.txt", "3.13")}
    different = {name for name in new if new[name] != old[name]}
    assert different == {"contourpy", "scipy"}


def test_every_file_is_part_of_a_set_and_every_set_exists() -> None:
    files = {name for each in SETS for name in each.files}
    assert files | {"constraints"} == {path.stem for path in REQUIREMENTS.glob("*.txt")}
    for each in SETS:
        with_ros = {"jazzy", "kilted"} & set(each.files)
        assert (set(each.versions) == set(VERSIONS) - set(WITHOUT_ROS)) == bool(with_ros)


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "resolve_requirements.py"), *arguments]
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=path)


def write_stand_in(folder: Path) -> None:
    uv = folder / "uv"
    uv.write_text(STAND_IN)
    uv.chmod(0o755)


def test_the_script_names_packages_without_a_pin(tmp_path: Path) -> None:
    write_stand_in(tmp_path)
    result = run(tmp_path, "3.14")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        f"Python 3.14: {each.name}: 4 packages, not pinned: alpha"
        for each in SETS
        if "3.14" in each.versions
    ]


def test_the_script_fails_where_a_set_does_not_resolve(tmp_path: Path) -> None:
    write_stand_in(tmp_path)
    result = run(tmp_path, "3.12", "3.13")
    assert result.returncode == 1
    assert "Python 3.13: runtime: FAILED\nbecause alpha has no wheel" in result.stdout
    assert "Python 3.12: runtime: 4 packages" in result.stdout


def test_the_script_says_what_is_missing(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.returncode == 2
    assert result.stderr.strip() == "uv is not on the PATH: `pip install uv` brings it."
    result = run(tmp_path, "2.7")
    assert result.returncode == 2 and "2.7" in result.stderr


def test_sources_are_allowed_only_where_there_is_no_wheel() -> None:
    training = next(each for each in SETS if "training" in each.files)
    assert "pybullet" in script.command(training, "3.12")
    assert "pybullet" not in script.command(training, "3.11")
