"""With `vocabulary_file`, the vocabulary in force survives a restart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from planner import running_node, stripes, target

from zs_seg_ros.vocabulary.vocabulary_file import read_vocabulary_file


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
def test_a_damaged_file_is_set_aside_with_a_warning(tmp_path: Path, content: str) -> None:
    file = tmp_path / "words.yaml"
    file.write_text(content)
    with running_node({"vocabulary_file": str(file), "classes": ["red"]}) as planner:
        status = planner.diagnosis_saying("model", "set aside as", "words.yaml.damaged-")
        assert status.level == status.WARN
        assert planner.ids() == {"red": 1}
        assert planner.set_vocabulary("blue").success
    assert read_vocabulary_file(file).names == ("blue",)
    [aside] = tmp_path.glob("words.yaml.damaged-*")
    assert aside.read_text() == content


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
            patched.setattr("zs_seg_ros.vocabulary.vocabulary_file.os.fsync", full)
            answer = planner.set_vocabulary("red")
        assert answer.success and "No space left on device" in answer.warnings[-1]
        assert planner.label_of(stripes("red")).all()
        planner.diagnosis_saying("model", "will not survive a restart", "No space left")
        assert os.listdir(tmp_path) == []
        assert not list(planner.set_vocabulary("blue").warnings)
        planner.diagnosis("model", lambda s: "No space" not in s.message, "the problem gone")
    assert read_vocabulary_file(file).names == ("blue",)
