# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The rules of the package's structure hold, and the checks of them notice violations.

docs/architecture.md explains the rules; its list of layers is the one below.
"""

from __future__ import annotations

import re
from pathlib import Path

import house
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "zs_seg_ros"
LAYERS = (
    ("shown",),
    ("errors",),
    ("files", "kernels", "launch_arguments", "optional_packages", "user_yaml"),
    ("vocabulary",),
    ("requested_outputs", "shared_space"),
    ("types",),
    ("images", "segmenters"),
    ("perception",),
    ("bags",),
    ("labelling", "replay"),
    ("doctor", "evaluation"),
    ("studio",),
    ("testing", "zs_seg_ros"),
    ("cli",),
    ("ros",),
)
"""The lowest first. zs_seg_ros is the package's own `__init__`, with the public names."""
MOST_LINES = 300


# --- the package ---


def test_only_the_ros_component_imports_ros() -> None:
    assert house.ros_imports_outside(PACKAGE, "ros") == []


def test_nothing_imports_upwards() -> None:
    assert house.upward_imports(PACKAGE, LAYERS) == []


def test_every_layer_exists() -> None:
    components = {module.component for module in house.modules_of(PACKAGE).values()}
    assert {component for layer in LAYERS for component in layer} == components


def test_there_is_no_circle() -> None:
    assert house.circles(PACKAGE) == []


def test_no_file_is_long() -> None:
    assert house.long_files(PACKAGE, MOST_LINES) == []


def test_an_init_only_re_exports() -> None:
    assert house.code_in_inits(PACKAGE) == []


def test_names_are_imported_from_where_they_are_defined() -> None:
    assert house.imports_through_inits(PACKAGE) == []


def test_the_page_lists_the_same_layers() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    block = text.partition("```text\nshown")[2].partition("```")[0]
    listed = [layer.replace("\n", " ").split(",") for layer in f"shown{block}".split("→")]
    assert tuple(tuple(component.strip() for component in layer) for layer in listed) == LAYERS


def test_every_file_that_the_page_names_exists() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    paths = re.findall(r"`([\w/]+(?:\.py|/))`", page)
    assert len(paths) > 40
    roots = (PACKAGE, ROOT, PACKAGE / "segmenters" / "shared")
    assert [path for path in paths if not any((root / path).exists() for root in roots)] == []


# --- the checks, on small packages ---


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package `p` that keeps every rule: low is imported by high, high by ros."""
    folder = tmp_path / "p"
    for component in ("low", "high", "ros"):
        write(folder, f"{component}/__init__.py", f'"""The component {component}."""\n')
    write(folder, "__init__.py", 'from p.low.a import A\n__version__ = "1"\n__all__ = ["A"]\n')
    write(folder, "low/a.py", "class A: ...\n")
    write(folder, "high/b.py", "from p.low.a import A\nfrom p import __version__\n")
    write(folder, "ros/node.py", "import rclpy\nfrom p.msg import Mask\nfrom p.high import b\n")
    return folder


SMALL_LAYERS = (("low",), ("p",), ("high",), ("ros",))


def write(package: Path, file: str, text: str) -> None:
    (package / file).parent.mkdir(parents=True, exist_ok=True)
    (package / file).write_text(text)


def violations_of(package: Path) -> list[str]:
    return [
        *house.ros_imports_outside(package, "ros"),
        *house.upward_imports(package, SMALL_LAYERS),
        *house.circles(package),
        *house.long_files(package, 10),
        *house.code_in_inits(package),
        *house.imports_through_inits(package),
    ]


def test_a_package_that_keeps_the_rules_has_no_violations(package: Path) -> None:
    assert violations_of(package) == []


@pytest.mark.parametrize(
    "statement",
    [
        "import rclpy",
        "from rclpy.node import Node",
        "import sensor_msgs.msg",
        "from std_srvs.srv import Trigger",
        "from p.msg import Mask",
        "from p import srv",
        "from ..msg import Mask",
        "def f():\n    from rcl_interfaces.msg import Log",
    ],
)
def test_ros_outside_its_component_is_noticed(package: Path, statement: str) -> None:
    write(package, "high/c.py", statement)
    [violation] = violations_of(package)
    assert violation.startswith("p.high.c:") and "only ros/ may import ROS" in violation


@pytest.mark.parametrize(
    "statement",
    [
        "import p.high.b",
        "from p.high.b import A",
        "from p.high import b",
        "from ..high import b",
        "def f():\n    from p.high import b",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.high import b",
    ],
)
def test_an_upward_import_is_noticed(package: Path, statement: str) -> None:
    write(package, "low/c.py", statement)
    [violation] = violations_of(package)
    assert violation.startswith("p.low.c:") and "imports p.high.b, which is not below" in violation


def test_components_of_one_layer_do_not_import_each_other(package: Path) -> None:
    layers = (("low", "high"), ("p",), ("ros",))
    assert "p.high.b:1 imports p.low.a, which is not below it" in house.upward_imports(
        package, layers
    )


def test_a_component_without_a_layer_is_noticed(package: Path) -> None:
    write(package, "cellar/c.py", "")
    assert violations_of(package) == ["p.cellar.c: cellar has no layer: add it to the list"]


def test_a_circle_is_noticed(package: Path) -> None:
    write(package, "low/c.py", "from p.low import d")
    write(package, "low/d.py", "def f():\n    from p.low.c import g")
    assert violations_of(package) == ["p.low.c imports p.low.d imports p.low.c"]


def test_a_long_file_is_noticed(package: Path) -> None:
    write(package, "low/c.py", "a = 1\n" * 11)
    assert violations_of(package) == [
        "p.low.c has 11 lines, more than 10: split it by concern",
    ]


def test_a_copyright_notice_does_not_count(package: Path) -> None:
    write(package, "low/c.py", "# Copyright 2026\n# more\n\n" + "a = 1\n" * 10)
    assert violations_of(package) == []


@pytest.mark.parametrize("statement", ["x = 1", "def f(): ...", "print()", "if True: import os"])
def test_code_in_an_init_is_noticed(package: Path, statement: str) -> None:
    write(package, "low/__init__.py", f'"""The component."""\n{statement}\n')
    assert violations_of(package) == [
        "p.low.__init__:2 has code: move it to a module of its own",
    ]


@pytest.mark.parametrize("statement", ["from p.low import A", "from . import A"])
def test_an_import_through_an_init_is_noticed(package: Path, statement: str) -> None:
    write(package, "low/__init__.py", "from p.low.a import A")
    write(package, "low/a.py", "class A: ...")
    write(package, "low/c.py", statement)
    violations = house.imports_through_inits(package)
    assert violations == [
        "p.low.c:1 imports A from p.low: import it from the module that defines it"
    ]
