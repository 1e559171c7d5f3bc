"""A vocabulary in a YAML file, written by people or by the node."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.vocabulary.vocabulary import Exemplar, Limits, TargetClass, Vocabulary
from zs_seg_ros.vocabulary.vocabulary_file import (
    read_vocabulary_file,
    set_aside,
    write_vocabulary_file,
)


def write(folder: Path, text: str) -> Path:
    path = folder / "vocabulary.yaml"
    path.write_text(text, encoding="utf-8")
    return path


# --- by people ---


def test_names_prompts_and_thresholds_are_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "classes:\n  - name: mug\n    prompts: [red mug, red cup]\n    threshold: 0.6\n  - Füchse\n",
    )
    vocabulary = read_vocabulary_file(path)
    assert vocabulary.classes == (
        TargetClass("mug", ("red mug", "red cup"), 0.6),
        TargetClass("Füchse"),
    )
    assert vocabulary.ids == (1, 2) and vocabulary.version == 1


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
        ("classes: [{name: mug, threshold: 2.0}]\n", "must be 0"),
        ("classes: [{name: mug, exemplars: [nonsense]}]\n", "an exemplar of 'mug' cannot be read"),
        ("classes: [{name: mug, exemplars: 7}]\n", "an exemplar of 'mug' cannot be read"),
        ("classes: [mug, mug]\n", "occurs twice"),
        ("classes: [mug\n", "cannot be read"),
        ("classes: [mug]\nids: [1]\n", "not what the node writes"),
        ("classes: [mug]\nids: {mug: x}\n", "not what the node writes"),
        ("classes: [mug]\nversion: new\n", "not what the node writes"),
        ("classes: [mug]\nversion: 0\n", "the version 0 is not 1 or more"),
        ("classes: [mug]\nids: {mug: 255}\n", "cannot have had the id 255"),
        ("classes: [mug]\nids: {mug: 3, duck: 3}\n", "cannot have had the id 3"),
    ],
)
def test_a_file_of_another_form_is_refused_with_the_reason(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(VocabularyError, match=reason):
        read_vocabulary_file(write(tmp_path, text))


def test_limits_hold_for_files_too(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match="2 classes are too many"):
        read_vocabulary_file(write(tmp_path, "classes: [mug, duck]\n"), Limits(classes=1))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.yaml"
    path.write_bytes(b"\xff\xfe\x00classes")
    with pytest.raises(VocabularyError, match="cannot be read"):
        read_vocabulary_file(path)


def test_a_missing_file_is_told_apart_from_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_vocabulary_file(tmp_path / "nowhere.yaml")


# --- by the node ---

texts = st.text("abc dé:#'\"{}[]-?%\\0", min_size=1, max_size=9).map(
    lambda text: f"x{text}".strip()
)
targets = st.builds(
    TargetClass, texts, st.lists(texts, max_size=3).map(tuple), st.floats(0, 1, allow_nan=False)
)


@given(
    st.lists(
        st.lists(targets, max_size=4, unique_by=lambda t: " ".join(t.name.split())),
        min_size=1,
        max_size=4,
    )
)
def test_what_was_in_force_comes_back_with_its_ids_and_version(
    tmp_path_factory: pytest.TempPathFactory, changes: list[list[TargetClass]]
) -> None:
    vocabulary = Vocabulary()
    for classes in changes:
        vocabulary = vocabulary.changed_to(classes)
    path = tmp_path_factory.mktemp("saved") / "words.yaml"
    write_vocabulary_file(path, vocabulary)
    back = read_vocabulary_file(path)
    assert (back.classes, back.ids, back.version) == (
        vocabulary.classes, vocabulary.ids, vocabulary.version,
    )  # fmt: skip
    assert dict(back.ids_given) == dict(vocabulary.ids_given)


def test_exemplars_come_back(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    mask = np.eye(4, 6, dtype=bool)
    shown = TargetClass("mug", exemplars=(Exemplar(image), Exemplar(image, mask)))
    write_vocabulary_file(tmp_path / "words.yaml", Vocabulary().changed_to([shown]))
    [back] = read_vocabulary_file(tmp_path / "words.yaml").classes
    plain, masked = back.exemplars
    assert (plain.image == image).all() and plain.mask is None
    assert masked.mask is not None and (masked.mask == mask).all()


def test_a_disk_that_is_full_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "words.yaml"
    before = Vocabulary().changed_to([TargetClass("mug")])
    write_vocabulary_file(path, before)

    def full(_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("zs_seg_ros.vocabulary.vocabulary_file.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_vocabulary_file(path, before.changed_to([TargetClass("duck")]))
    assert [file.name for file in tmp_path.iterdir()] == ["words.yaml"]
    assert read_vocabulary_file(path).names == ("mug",)


def test_a_file_that_is_set_aside_is_whole_and_out_of_the_way(tmp_path: Path) -> None:
    path = write(tmp_path, "classes: [mug\n")
    aside = set_aside(path)
    assert not path.exists() and aside.parent == tmp_path
    assert aside.read_text() == "classes: [mug\n"
