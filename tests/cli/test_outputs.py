# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Files that users name for output: a regular file is replaced; a folder, FIFO, device or wrong link stays as it is."""

from __future__ import annotations

import ast
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from zs_seg_ros.cli.image_files import write_png
from zs_seg_ros.errors import ZeroShotSegmentationError
from zs_seg_ros.files import open_in_place, write_output
from zs_seg_ros.replay import report_html
from zs_seg_ros.replay.report_junit import write_junit_error
from zs_seg_ros.segmenters.dense.config import DenseConfig

ROOT = Path(__file__).parents[2]


def png(path: Path) -> None:
    write_png(path, np.zeros((2, 3, 3), np.uint8))


def junit(path: Path) -> None:
    write_junit_error(path, "no recording")


def html(path: Path) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(report_html, "html_report", lambda _: "<html>")
        report_html.write_html(path, None)  # type: ignore[arg-type]


def config(path: Path) -> None:
    DenseConfig(("mug",)).write(path)


def figures(path: Path) -> None:
    """What bench, the benchmarks, the demo and training call."""
    write_output(path, b"{}\n")


def log(path: Path) -> None:
    with open_in_place(path) as file:
        file.truncate()
        file.write(b"log\n")


WRITERS = [png, junit, html, config, figures]
PLACES: dict[str, Callable[[Path], None]] = {
    "folder": lambda path: (path.mkdir(), (path / "mine").write_text("kept"))[0],
    "fifo": os.mkfifo,
    "device": lambda path: path.symlink_to(os.devnull),
    "link to nowhere": lambda path: path.symlink_to("nowhere"),
    "link in a circle": lambda path: path.symlink_to(path.name),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("write", [*WRITERS, log])
def test_what_is_no_regular_file_stays(
    tmp_path: Path, write: Callable[[Path], None], place: str
) -> None:
    path = tmp_path / "out.png"
    PLACES[place](path)
    before, names = path.lstat(), sorted(os.listdir(tmp_path))
    with pytest.raises(ZeroShotSegmentationError) as refused:
        write(path)
    assert "\n" not in str(refused.value) and str(path) in str(refused.value)
    after = path.lstat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert sorted(os.listdir(tmp_path)) == names
    assert not path.is_dir() or (path / "mine").read_text() == "kept"


@pytest.mark.parametrize("write", [*WRITERS, log])
def test_a_regular_file_is_replaced(tmp_path: Path, write: Callable[[Path], None]) -> None:
    (tmp_path / "out.png").write_text("x" * 100_000)
    write(tmp_path / "out.png")
    assert b"xxx" not in (tmp_path / "out.png").read_bytes()
    assert os.listdir(tmp_path) == ["out.png"]


@pytest.mark.parametrize("write", WRITERS)
def test_a_link_stays_one_and_its_file_is_replaced(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "out.png").symlink_to("file")
    write(tmp_path / "out.png")
    assert (tmp_path / "out.png").is_symlink() and (tmp_path / "file").read_bytes() != b"old"


@pytest.mark.parametrize("write", WRITERS)
def test_a_full_disk_leaves_the_old_file(
    tmp_path: Path, write: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out.png").write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ZeroShotSegmentationError, match="No space left on device"):
        write(tmp_path / "out.png")
    assert (tmp_path / "out.png").read_text() == "old" and os.listdir(tmp_path) == ["out.png"]


# --- nothing writes past files.py ---

METHODS = {"write_text", "write_bytes", "rename", "unlink", "rmdir", "touch", "symlink_to", "rmtree",
           "remove", "truncate", "copyfile", "copytree", "move", "hardlink_to", "copyfileobj"}  # fmt: skip
ALLOWED = {
    "zs_seg_ros/files.py",
    "zs_seg_ros/vocabulary/vocabulary_file.py",  # set_aside, which checks whose it is
    "zs_seg_ros/vocabulary/vocabulary_lock.py",
    "zs_seg_ros/labelling/work_folder.py",  # its own folder, which is checked
    "zs_seg_ros/labelling/slice_results.py",  # in it
    "zs_seg_ros/labelling/coco_output.py",  # in it
    "zs_seg_ros/bags/recording_files.py",  # in a temporary folder
    "zs_seg_ros/segmenters/engines/quantised.py",  # in a temporary folder
    "zs_seg_ros/cli/peak_memory.py",  # /proc/self
    "zs_seg_ros/ros/child_process.py",  # cuts off what open_in_place opened
    "demo/images.py",  # a video in memory
    "demo/studio_images.py",  # moves the mouse
    "demo/slow_model.py",  # a video in memory
    "training/meshes.py",  # in a temporary folder
    "training/record.py",  # in a temporary folder
    "training/scene.py",  # in a temporary folder
    "training/variations.py",  # moves objects of a scene
    "benchmarks/bag_reading.py",  # in a temporary folder
    "benchmarks/vocabulary_memory.py",  # /proc/self
}


def writing_calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        )
        on_a_list = (
            isinstance(node.func, ast.Attribute)
            and name == "remove"
            and not (isinstance(node.func.value, ast.Name) and node.func.value.id == "os")
        )
        modes = [
            a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)
        ]
        opened = name == "open" and any(set(mode) & set("wax+") and len(mode) < 4 for mode in modes)
        replaced = name == "replace" and len(node.args) == 1 and not node.keywords
        if (name in METHODS and not on_a_list) or opened or replaced:
            yield node


def test_files_are_written_moved_and_removed_in_few_modules() -> None:
    sources = [
        p
        for room in ("zs_seg_ros", "demo", "training", "benchmarks")
        for p in (ROOT / room).rglob("*.py")
    ]
    places = {
        f"{relative}:{call.lineno}"
        for path in sources
        if (relative := path.relative_to(ROOT).as_posix()) not in ALLOWED
        and not relative.startswith("zs_seg_ros/testing/")
        for call in writing_calls(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert not places, "write with zs_seg_ros.files, which leaves alone what is not ours"
