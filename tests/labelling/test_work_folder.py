# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The work folder OUT.partial: what is not from `zs-seg label` is neither written to nor removed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import labelled_bags
import pytest

from zs_seg_ros.errors import LabellingError
from zs_seg_ros.labelling.plan import LabelRequest
from zs_seg_ros.labelling.work_folder import open_work_folder
from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary


@pytest.fixture
def request_(tmp_path: Path) -> LabelRequest:
    bag = labelled_bags.small_bag(tmp_path / "bag", 2)
    vocabulary = Vocabulary().changed_to([TargetClass("red thing")])
    settings = Settings(default_threshold=0.5, min_area=10, max_objects=100, track=True)
    out = tmp_path / "place" / "out"
    return LabelRequest((bag,), out, vocabulary, "fake", LoadOptions(), settings)


def folder_with(*names: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        for name in names:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text("mine")

    return make


def link_to_folder(path: Path) -> None:
    path.with_name("elsewhere").mkdir()
    (path.with_name("elsewhere") / "mine").write_text("mine")
    path.symlink_to("elsewhere")


def state(folder: Path) -> dict[str, tuple[int, ...]]:
    return {
        str(path.relative_to(folder)): (s.st_ino, s.st_mode, s.st_size)
        for path in folder.rglob("*")
        if (s := path.lstat())
    }


@pytest.mark.parametrize(
    "make",
    [
        folder_with("thesis.tex"),
        folder_with("lock", "notes"),
        folder_with("lock"),
        folder_with("job.new"),
        folder_with("slices/mine"),
        folder_with("job.json"),
        folder_with("job.json", "slices/out/000001/mine"),
        folder_with("finished/mine"),
        link_to_folder,
        os.mkfifo,
        lambda path: path.symlink_to(os.devnull),
        lambda path: path.symlink_to("nowhere"),
        lambda path: path.write_text("mine"),
    ],
)
def test_what_is_in_the_place_of_the_work_folder_stays(
    request_: LabelRequest, make: Callable[[Path], None]
) -> None:
    request_.out.parent.mkdir()
    make(request_.out.with_name("out.partial"))
    before = state(request_.out.parent)
    with pytest.raises(LabellingError), open_work_folder(request_):
        pass
    assert state(request_.out.parent) == before


@pytest.mark.parametrize(
    "make",
    [
        folder_with("mine"),
        os.mkfifo,
        lambda path: path.symlink_to("nowhere"),
        lambda path: path.write_text("mine"),
    ],
)
def test_what_is_in_the_place_of_the_result_stays(
    request_: LabelRequest, make: Callable[[Path], None]
) -> None:
    request_.out.parent.mkdir()
    make(request_.out)
    before = state(request_.out.parent)
    with pytest.raises(LabellingError, match="exists already"), open_work_folder(request_):
        pass
    assert state(request_.out.parent) == before


@pytest.mark.parametrize("place", ["lock", "job.json"])
def test_a_fifo_inside_is_not_waited_for(request_: LabelRequest, place: str) -> None:
    partial = request_.out.with_name("out.partial")
    partial.mkdir(parents=True)
    os.mkfifo(partial / place)
    with pytest.raises(LabellingError, match="is a FIFO"), open_work_folder(request_):
        pass
    assert os.listdir(partial) == [place]


def test_an_empty_or_abandoned_work_folder_is_used_and_removed(request_: LabelRequest) -> None:
    partial = request_.out.with_name("out.partial")
    partial.mkdir(parents=True)
    (partial / "lock").touch()
    with open_work_folder(request_):
        assert sorted(os.listdir(partial)) == ["job.json", "lock"]
    assert not partial.exists()


def test_a_file_that_comes_into_the_work_folder_is_not_removed_with_it(
    request_: LabelRequest,
) -> None:
    partial = request_.out.with_name("out.partial")
    with open_work_folder(request_):
        (partial / "notes").write_text("mine")
    assert os.listdir(partial) == ["notes"]


def test_a_lock_that_its_last_holder_removed_is_none(
    request_: LabelRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third process could hold the new file of that name."""
    lock = request_.out.with_name(f"{request_.out.name}.partial") / "lock"
    flock = fcntl.flock

    def flock_after_its_holder(*arguments: Any) -> None:
        lock.unlink()
        flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", flock_after_its_holder)
    with (
        pytest.raises(LabellingError, match="another zs-seg label is writing"),
        open_work_folder(request_),
    ):
        pass
