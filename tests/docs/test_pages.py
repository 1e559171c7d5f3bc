# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Links lead somewhere, quoted texts are the node's own, and code in the pages is code."""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import PAGES, ROOT, Block, anchors_of, blocks_of, links_of, prose_of, runs_in_ci
from PIL import Image
from planner import image_message, repeating, running_node, stripes, wait_until

from zs_seg_ros.evaluation.class_id_images import ClassIdImages
from zs_seg_ros.vocabulary.vocabulary_file import parse_vocabulary

NOT_INSTALLED = {"sensor_msgs_py", "ultralytics"}  # part of every ROS 2 installation; of a plug-in
STUDIO_PACKAGES = "starlette uvicorn websockets"  # which install_dependencies always installs
BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def of_language(language: str) -> list[Any]:
    """test_commands.py tries what a CI's YAML runs."""
    return [
        pytest.param(b, id=b.place) for b in BLOCKS if b.language == language and not runs_in_ci(b)
    ]


# --- links ---


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for line, target in links_of(page):
        if target.startswith(("https://", "http://www.apache.org/")):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), f"{page.name}:{line} links to {target}, which is not there"
        assert not anchor or anchor in anchors_of(path), f"{page.name}:{line}: no {target}"


def test_a_page_that_installs_a_package_names_the_command_for_robots() -> None:
    """The Python of a robot's distribution refuses pip (PEP 668)."""
    found = set()
    for page in sorted((ROOT / "docs").glob("*.md")):
        text = " ".join(page.read_text(encoding="utf-8").split())
        assert "`pip install" not in text, page.name
        for packages in re.findall(
            r"python3 -m pip install (?:--no-deps )?([^`#]+?)(?=`| zs-seg)", text
        ):
            also = f"install_dependencies --also {packages}"
            assert also in text or packages == STUDIO_PACKAGES, (page.name, packages)
            found.add(packages)
    assert {
        "av",
        "pycocotools",
        "onnx onnxruntime",
        "onnx onnxruntime-openvino nncf",
        "timm",
    } <= found


def test_the_readme_leads_to_every_page() -> None:
    linked = {(ROOT / target).resolve() for _, target in links_of(ROOT / "README.md")}
    assert set(PAGES) - {ROOT / "README.md"} <= linked


# --- texts of the node ---


def texts_of_the_package() -> list[str]:
    """Return every string literal, and the literal parts of every f-string."""
    return [
        node.value
        for file in (ROOT / "zs_seg_ros").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def quoted_in(page: str, lines: str = "") -> list[str]:
    """Return the bold texts of a page, of those lines that start with `lines`."""
    prose = prose_of(ROOT / "docs" / page)
    selected = "\n".join(line for line in prose.splitlines() if line.startswith(lines))
    return [" ".join(bold.split()) for bold in re.findall(r"\*\*([^*]+)\*\*", selected)]


def test_texts_quoted_in_bold_are_the_nodes_own() -> None:
    quoted = quoted_in("troubleshooting.md") + quoted_in("vocabulary.md", lines="| **")
    assert len(quoted) > 20
    texts = texts_of_the_package()
    assert [quote for quote in quoted if not any(quote in text for text in texts)] == []


# --- code ---


@pytest.mark.parametrize("block", of_language("python"))
def test_python_compiles_and_its_imports_are_there(block: Block) -> None:
    tree = ast.parse(block.text)
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    for node in imports:
        module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        package = str(module).partition(".")[0]
        if package not in NOT_INSTALLED or importlib.util.find_spec(package):
            exec(compile(ast.Module([node], []), block.place, "exec"), {})


def test_the_planner_of_the_page_receives_objects_and_sets_the_vocabulary(ros: None) -> None:
    from rclpy.executors import SingleThreadedExecutor

    [block] = [b for b in BLOCKS if b.page.name == "planners.md" and "class Planner" in b.text]
    names: dict[str, Any] = {}
    exec(compile(block.text, block.place, "exec"), names)
    with running_node() as camera:
        planner = names["Planner"]()
        executor = SingleThreadedExecutor()
        executor.add_node(planner)
        planner.set_classes("red mug", "soccer ball")
        with repeating(lambda: camera.send(image_message(stripes("red", "blue"))), rate_hz=10):

            def received() -> bool:
                executor.spin_once(timeout_sec=0.1)
                return bool(planner.objects)

            wait_until(received, "an object")
        executor.shutdown()
        planner.destroy_node()
        [(_, name, position, mask)] = planner.objects
        assert (name, position, mask.shape) == ("red mug", None, (24, 16))
        assert camera.ids() == {"red mug": 1, "soccer ball": 2}


CPP_FRAME = """
#include <cstdint>
#include <vector>
{includes}
struct Roi {{ std::uint32_t x_offset, y_offset, height, width; }};
struct ObjectMask {{ Roi roi; std::vector<std::uint32_t> counts; }};
struct ObjectMaskArray {{ std::uint32_t height, width; std::vector<ObjectMask> objects; }};
void read(const ObjectMaskArray & message)
{{
{body}
}}
"""


@pytest.mark.parametrize("block", of_language("cpp"))
def test_cpp_compiles(block: Block, tmp_path: Path) -> None:
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("there is no C++ compiler: install g++ to test the pages' C++")
    lines = block.text.splitlines()
    program = CPP_FRAME.format(
        includes="\n".join(line for line in lines if line.startswith("#include")),
        body="\n".join(line for line in lines if not line.startswith("#include")),
    )
    (tmp_path / "page.cpp").write_text(program)
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    command = [compiler, *flags, f"-I{ROOT / 'include'}", str(tmp_path / "page.cpp")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("block", of_language("yaml"))
def test_yaml_is_a_vocabulary_or_parameters_of_the_node(
    block: Block, ros: None, tmp_path: Path
) -> None:
    content = yaml.safe_load(block.text)
    if "label_suffix" in content:  # ground truth of zs-seg evaluate
        for folder, suffix in (("images", "image_suffix"), ("labels", "label_suffix")):
            path = tmp_path / content[folder] / f"one{content[suffix]}"
            path.parent.mkdir(parents=True)
            Image.new("L", (2, 2)).save(path)
        (tmp_path / "truth.yaml").write_text(block.text)
        assert len(ClassIdImages(tmp_path / "truth.yaml")) == 1
        return
    if "classes" in content:
        assert parse_vocabulary(block.text, block.place).classes
        return
    parameters = content["/**"]["ros__parameters"]
    flat = {
        f"{name}.{inner}" if isinstance(value, dict) else name: part
        for name, value in parameters.items()
        for inner, part in (value.items() if isinstance(value, dict) else [("", value)])
    }
    with running_node(flat) as planner:
        assert set(flat) <= set(planner.parameter_names())
        assert planner.get_vocabulary().version == 1
