"""A vocabulary in a YAML file."""

from pathlib import Path

import pytest

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.vocabulary import TargetClass
from zs_seg_ros.vocabulary_file import read_vocabulary_file


def write(folder: Path, text: str) -> Path:
    path = folder / "vocabulary.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_names_prompts_and_thresholds_are_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "classes:\n  - name: mug\n    prompts: [red mug, red cup]\n    threshold: 0.6\n  - Füchse\n",
    )
    assert read_vocabulary_file(path) == (
        TargetClass("mug", ("red mug", "red cup"), 0.6),
        TargetClass("Füchse"),
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no list named 'classes'"),
        ("classes: mug\n", "no list named 'classes'"),
        ("- mug\n", "no list named 'classes'"),
        ("classes: [1]\n", "neither a name nor a mapping"),
        ("classes: [{prompts: [mug]}]\n", "neither a name nor a mapping"),
        ("classes: [{name: mug, promts: [cup]}]\n", "unknown field 'promts'"),
        ("classes: [{name: mug, prompts: cup}]\n", "not a list of texts"),
        ("classes: [{name: mug, threshold: high}]\n", "not a number"),
        ("classes: [{name: mug, threshold: true}]\n", "not a number"),
        ("classes: [mug\n", "cannot be read"),
    ],
)
def test_a_file_of_another_form_is_refused_with_the_reason(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(VocabularyError, match=reason):
        read_vocabulary_file(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match=r"nowhere\.yaml cannot be read"):
        read_vocabulary_file(tmp_path / "nowhere.yaml")
