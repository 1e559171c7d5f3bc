# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What the ROS index and bloom read here: package.xml, the changelog, versions, and the page of the API."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

pytest.importorskip("catkin_pkg")

from catkin_pkg.changelog import get_changelog_from_path
from catkin_pkg.package import Package, parse_package

import zs_seg_ros

ROOT = Path(__file__).parents[2]
MESSAGE_PACKAGES = {
    "builtin_interfaces",
    "diagnostic_msgs",
    "geometry_msgs",
    "lifecycle_msgs",
    "rcl_interfaces",
    "rosgraph_msgs",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
    "tf2_msgs",
    "vision_msgs",
    "visualization_msgs",
}
ROS_PACKAGES = {
    "ament_cmake",
    "ament_cmake_pytest",
    "ament_cmake_python",
    "ament_index_python",
    "cv_bridge",
    "launch",
    "launch_ros",
    "rclpy",
    "rosidl_default_generators",
    "rosidl_default_runtime",
    "sensor_msgs_py",
    "tf2_ros",
}
ROSDEP_KEYS = {
    "python3-matplotlib",
    "python3-numpy",
    "python3-opencv",
    "python3-pil",
    "python3-psutil",
    "python3-pytest",
    "python3-tqdm",
    "python3-venv",
    "python3-yaml",
}
"""Checked against ros/rosdistro at 8468e88: each is in rosdep/python.yaml, and each package above is released for
Humble, Jazzy, Kilted and Lyrical. Look a new one up there before it is added here."""


@pytest.fixture(scope="module")
def package() -> Package:
    warnings: list[str] = []
    parsed = parse_package(str(ROOT / "package.xml"), warnings=warnings)
    assert warnings == []
    return parsed


def test_package_xml_is_valid_and_says_where_it_comes_from(package: Package) -> None:
    package.validate()
    assert {url.type for url in package.urls} == {"website", "repository", "bugtracker"}
    assert all(url.url.startswith("https://") for url in package.urls)
    assert package.authors and package.maintainers
    assert [(license_.file, str(license_)) for license_ in package.licenses] == [
        ("LICENSE", "Apache-2.0")
    ]


def texts() -> Iterator[tuple[Path, str]]:
    """Yield the files of the repository that may name its address: all but data, tests and what is built."""
    left_out = {"tests", "build", "install", "log", "demo_out", "recordings", "models"}
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if name not in left_out and (not name.startswith(".") or name == ".github")
        ]
        for path in (Path(folder, name) for name in names):
            if path.suffix in (".md", ".rst", ".xml", ".yaml", ".yml", ".py", ".toml", ".cfg"):
                yield path, path.read_text(encoding="utf-8")


def test_all_addresses_are_those_of_package_xml(package: Package) -> None:
    urls = {url.type: url.url for url in package.urls}
    website = urls["website"]
    assert urls["repository"] == f"{website}.git"
    assert urls["bugtracker"] == f"{website}/issues"
    [maintainer], [author] = package.maintainers, package.authors
    assert maintainer.email == author.email
    addresses, mails, places = set(), set(), set()
    for path, text in texts():
        found = re.findall(r"https://[\w.]+/[\w.-]+/zs_seg_ros(?=[^\w])", text)
        addresses.update(found)
        mails.update(re.findall(r"[\w.]+@zs[\w.-]+\w", text))
        places.update({str(path.relative_to(ROOT))} if found else ())
    assert addresses == {website}
    assert mails == {maintainer.email}
    assert places == {"package.xml", ".github/ISSUE_TEMPLATE/config.yml"}  # CONTRIBUTING.md says so


def test_setup_py_reads_package_xml(package: Package) -> None:
    command = [sys.executable, "setup.py", "--quiet", "--version", "--url", "--author-email"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-3:] == [
        package.version,
        next(url.url for url in package.urls if url.type == "website"),
        package.authors[0].email,
    ]


def test_every_dependency_has_a_key(package: Package) -> None:
    names = {
        dependency.name
        for kind in ("buildtool", "build", "exec", "test")
        for dependency in getattr(package, f"{kind}_depends")
    }
    assert names == MESSAGE_PACKAGES | ROS_PACKAGES | ROSDEP_KEYS


def test_every_message_package_that_is_imported_is_a_dependency(package: Package) -> None:
    imported = {
        match
        for path in (ROOT / "zs_seg_ros").rglob("*.py")
        for match in re.findall(
            r"^\s*from (\w+_(?:msgs|srvs|interfaces))\.", path.read_text(encoding="utf-8"), re.M
        )
    }
    assert "tf2_msgs" in imported
    optional = {"ffmpeg_image_transport_msgs", "rosbag2_interfaces"}
    assert imported - optional <= {dependency.name for dependency in package.exec_depends}


@pytest.mark.filterwarnings("ignore:.*traverse:PendingDeprecationWarning")  # catkin_pkg calls it
def test_the_changelog_has_the_form_of_bloom_and_the_version_of_the_package(
    package: Package,
) -> None:
    changelog = get_changelog_from_path(str(ROOT / "CHANGELOG.rst"), package.name)
    version, date, content = next(iter(changelog.foreach_version()))
    assert version == package.version == zs_seg_ros.__version__
    assert date is not None and content


def test_the_changelog_is_restructured_text_without_errors() -> None:
    docutils = pytest.importorskip("docutils.core")
    text = (ROOT / "CHANGELOG.rst").read_text(encoding="utf-8")
    settings = {"report_level": 2, "halt_level": 2, "file_insertion_enabled": False}
    docutils.publish_doctree(text, settings_overrides=settings)
    pages = re.findall(r"<(docs/[^>#]+)(?:#[^>]*)?>`__", text)
    assert pages and all((ROOT / page).exists() for page in pages)
    assert not re.search(r"\]\(", text), "a link of Markdown: write `text <page>`__"


def test_rosdoc2_builds_the_page_of_the_api(package: Package) -> None:
    [named] = [export.content for export in package.exports if export.tagname == "rosdoc2"]
    header, settings = yaml.safe_load_all((ROOT / named).read_text())
    assert header == {"type": "rosdoc2 config", "version": 1}
    [builder] = settings["builders"]
    assert (ROOT / builder["sphinx"]["sphinx_sourcedir"] / "conf.py").is_file()


def test_the_page_of_the_api_has_every_public_name() -> None:
    page = (ROOT / "docs" / "api" / "index.rst").read_text()
    errors = {
        name
        for name in zs_seg_ros.__all__
        if inspect.isclass(value := getattr(zs_seg_ros, name)) and issubclass(value, Exception)
    }
    named = set(re.findall(r"^\.\. auto\w+:: zs_seg_ros\.(\w+)", page, re.MULTILINE))
    assert named - {"errors"} == set(zs_seg_ros.__all__) - errors - {"__version__"}


def test_the_page_of_the_api_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    command += [str(ROOT / "docs" / "api"), str(tmp_path / "page"), "-d", str(tmp_path / "cache")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "load_segmenter" in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
