# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""With `vocabulary_file`, the vocabulary in force survives a restart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from planner import running_node, stripes, target

from zs_seg_ros.errors import FileError
from zs_seg_ros.vocabulary.vocabulary import LAST_VERSION, TargetClass, Vocabulary
from zs_seg_ros.vocabulary.vocabulary_file import (
    HEADING,
    read_vocabulary_file,
    write_vocabulary_file,
)
from zs_seg_ros.vocabulary.vocabulary_lock import VocabularyLock


def test_a_vocabulary_survives_a_restart_with_its_ids(tmp_path: Path) -> None:
    file = {"vocabulary_file": str(tmp_path / "words.yaml")}
    with running_node(file) as planner:
        assert planner.get_vocabulary().version == 0
        planner.set_vocabulary("red mug", target("sky", "blue", threshold=0.25))
        planner.set_vocabulary(target("sky", "blue", threshold=0.25), "green")
        before = planner.get_vocabulary()
    with running_node(file) as planner:
        after = planner.get_vocabulary()
        assert after.classes == before.classes
        assert (list(after.ids), after.version) == ([2, 3], 2)
        assert planner.label_of(stripes("blue", "green"))[0, ::16].tolist() == [2, 3]
        assert list(planner.set_vocabulary("red mug").vocabulary.ids) == [1]


def test_classes_count_only_until_there_is_a_file(tmp_path: Path) -> None:
    both = {"classes": ["red"], "vocabulary_file": str(tmp_path / "words.yaml")}
    with running_node(both) as planner:
        assert planner.ids() == {"red": 1}
        planner.set_vocabulary("blue")
    with running_node(both) as planner:
        assert planner.ids() == {"blue": 2}


@pytest.mark.parametrize("content", ["classes: [red, red]", "classes: [", "", "classes: {red: 1}"])
def test_a_damaged_file_of_the_node_is_set_aside_with_a_warning(
    tmp_path: Path, content: str
) -> None:
    file = tmp_path / "words.yaml"
    file.write_text(HEADING + content)
    with running_node({"vocabulary_file": str(file), "classes": ["red"]}) as planner:
        status = planner.diagnosis_saying("model", "set aside as", "words.yaml.damaged-")
        assert status.level == status.WARN
        assert planner.ids() == {"red": 1}
        assert planner.set_vocabulary("blue").success
    assert read_vocabulary_file(file).names == ("blue",)
    [aside] = tmp_path.glob("words.yaml.damaged-*")
    assert aside.read_text() == HEADING + content


@pytest.mark.parametrize(
    ("limit", "value"), [("max_classes", 2), ("max_total_prompts", 3), ("max_prompt_length", 6)]
)
def test_a_file_beyond_lowered_limits_is_refused_and_left(
    tmp_path: Path, limit: str, value: int
) -> None:
    file = tmp_path / "words.yaml"
    with running_node({"vocabulary_file": str(file)}) as planner:
        assert planner.set_vocabulary("red", target("sky", "bluish", "azure!!"), "green").success
    before = {**listing(tmp_path), "words.yaml.lock": ()}
    lowered = {"vocabulary_file": str(file), limit: value}
    with running_node(lowered, state="unconfigured") as planner:
        assert not planner.change_state("configure")
        planner.diagnosis_saying("model", f"at most {value} are accepted", "raise that limit")
    assert {**listing(tmp_path), "words.yaml.lock": ()} == before
    with running_node({"vocabulary_file": str(file)}) as planner:
        assert planner.ids() == {"red": 1, "sky": 2, "green": 3}


def refused(place: Path, *words: str) -> None:
    """Start a node with this vocabulary_file: it is refused with these words, and nothing beside it changes."""
    before = listing(place.parent)
    with running_node({"vocabulary_file": str(place)}, state="unconfigured") as planner:
        assert not planner.change_state("configure")
        planner.diagnosis_saying("model", *words)
        assert planner.state == "unconfigured"
    assert listing(place.parent) == before


def listing(folder: Path) -> dict[str, tuple[int, ...]]:
    return {
        file.name: (status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns)
        for file in folder.iterdir()
        if (status := file.lstat())
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("classes: [red, red]", "occurs twice"),
        ("classes: [", "it is no YAML"),
        ("# my own notes\n", "no list named 'classes'"),
        ("[Unit]\nDescription=robot\n", "no YAML"),
        ("train: images\nclasses: [a]\n", "unknown entry 'train'"),
        ("a: &a [x]\nclasses: [*a, *a]\n", "an anchor"),
        ("classes: [{name: a, threshold: " + "9" * 400 + "}]", "a number of 400 characters"),
        ("classes: [{name: a, threshold: .nan}]", "the threshold of class 'a' is nan"),
        ("classes: [a]\nversion: 99999999999999999999\n", "the version 99999999999999999999"),
        ("classes: [a]\nversion: 4294967295\n", "the version 4294967295"),
        ("classes: [!!bool abc]", "the tag"),
        ("\x00\x01", "no YAML"),
    ],
)
def test_a_damaged_or_foreign_file_that_the_node_did_not_write_is_left_and_fails_configure(
    tmp_path: Path, content: str, reason: str
) -> None:
    file = tmp_path / "words.yaml"
    file.write_text(content)
    refused(file, reason, "it is left as it is: correct it")


def test_a_folder_fifo_device_or_dangling_link_is_left_and_fails_configure(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("kept")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to(os.devnull)
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "link").symlink_to("nowhere")
    for name, kind in {
        "folder": "is a folder",
        "pipe": "is a FIFO",
        "null": "is a device",
        "zero": "is a device",
        "link": "is a symbolic link to nowhere",
    }.items():
        refused(tmp_path / name, "vocabulary_file is", kind)
    assert (tmp_path / "folder" / "mine").read_text() == "kept"


def test_a_file_of_gigabytes_is_refused_by_its_size(tmp_path: Path) -> None:
    with (tmp_path / "words.yaml").open("wb") as stream:
        stream.truncate(1 << 33)
    refused(tmp_path / "words.yaml", "vocabulary_file is", "8589934592 bytes")


def test_a_home_folder_of_no_user_fails_configure() -> None:
    file = {"vocabulary_file": "~no-such-user-here/words.yaml"}
    with running_node(file, state="unconfigured") as planner:
        assert not planner.change_state("configure")
        planner.diagnosis_saying("model", "vocabulary_file is", "home folder of a user")


@pytest.mark.parametrize("content", ["", " \n\n"])
def test_a_blank_file_is_filled(tmp_path: Path, content: str) -> None:
    file = tmp_path / "words.yaml"
    file.write_text(content)
    with running_node({"vocabulary_file": str(file), "classes": ["red"]}) as planner:
        assert planner.ids() == {"red": 1}
        assert not list(planner.set_vocabulary("blue").warnings)
    assert read_vocabulary_file(file).names == ("blue",)


def test_a_file_written_by_hand_is_read_and_replaced(tmp_path: Path) -> None:
    file = tmp_path / "words.yaml"
    file.write_text("# by hand\nclasses: [red]\n")
    with running_node({"vocabulary_file": str(file)}) as planner:
        assert planner.ids() == {"red": 1}
        assert not list(planner.set_vocabulary("blue").warnings)
    assert read_vocabulary_file(file).names == ("blue",)


def test_a_foreign_file_that_appears_in_its_place_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "words.yaml"
    with running_node({"vocabulary_file": str(file)}) as planner:
        file.write_text("somebody else's")
        answer = planner.set_vocabulary("red")
        assert answer.success and "is left as it is" in answer.warnings[-1]
        planner.diagnosis_saying("model", "could not be saved", "is left as it is")
    assert file.read_text() == "somebody else's"


def test_a_file_in_use_by_another_node_is_refused_and_says_by_whom(tmp_path: Path) -> None:
    file = tmp_path / "words.yaml"
    write_vocabulary_file(file, Vocabulary().changed_to([TargetClass("red")]))
    lock = VocabularyLock(file, "robot.left")
    refused(file, "vocabulary_file is", "in use by robot.left", f"(process {os.getpid()})")
    lock.release()
    with running_node({"vocabulary_file": str(file)}) as planner:
        assert planner.ids() == {"red": 1}
        with pytest.raises(FileError, match="in use by zs_seg "):
            VocabularyLock(file, "another")
        assert planner.change_state("deactivate")
        assert planner.change_state("cleanup")
        VocabularyLock(file, "another").release()


def test_the_version_after_the_last_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "words.yaml"
    file.write_text(f"classes: [red]\nversion: {LAST_VERSION}\n")
    with running_node({"vocabulary_file": str(file)}) as planner:
        answer = planner.set_vocabulary("blue")
        assert not answer.success and "is the last one" in answer.message
        assert planner.get_vocabulary().version == LAST_VERSION


def test_a_folder_that_is_not_there_fails_configure(tmp_path: Path) -> None:
    file = {"vocabulary_file": str(tmp_path / "nowhere" / "words.yaml")}
    with running_node(file, state="unconfigured") as planner:
        assert not planner.change_state("configure")
        planner.diagnosis_saying("model", "vocabulary_file is", "No such file or directory")


def test_a_vocabulary_that_cannot_be_saved_is_in_force_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "words.yaml"
    with running_node({"vocabulary_file": str(file)}) as planner:
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            answer = planner.set_vocabulary("red")
        assert answer.success and "No space left on device" in answer.warnings[-1]
        assert planner.label_of(stripes("red")).all()
        planner.diagnosis_saying("model", "will not survive a restart", "No space left")
        assert os.listdir(tmp_path) == ["words.yaml.lock"]
        assert not list(planner.set_vocabulary("blue").warnings)
        planner.diagnosis("model", lambda s: "No space" not in s.message, "the problem gone")
    assert read_vocabulary_file(file).names == ("blue",)
