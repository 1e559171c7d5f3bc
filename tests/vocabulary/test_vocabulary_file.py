# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A vocabulary in a YAML file, written by people or by the node."""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs_seg_ros.errors import FileError, VocabularyError
from zs_seg_ros.vocabulary.vocabulary import Exemplar, Limits, TargetClass, Vocabulary
from zs_seg_ros.vocabulary.vocabulary_file import (
    HEADING,
    is_vocabulary_file,
    parse_vocabulary,
    read_vocabulary_file,
    set_aside,
    write_vocabulary_file,
)
from zs_seg_ros.vocabulary.vocabulary_lock import VocabularyLock


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


def test_ids_that_a_file_requests_are_given_and_kept_when_it_is_written(tmp_path: Path) -> None:
    path = write(tmp_path, "classes:\n- {name: mug, id: 7}\n- duck\n- {name: owl, id: 300}\n")
    vocabulary = read_vocabulary_file(path)
    assert vocabulary.ids == (7, 1, 300)
    write_vocabulary_file(path, vocabulary.changed_to(vocabulary.classes))
    again = read_vocabulary_file(path)
    assert again.ids == (7, 1, 300) and [c.id for c in again.classes] == [7, 0, 300]


def test_negatives_are_read_and_written(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "classes:\n"
        "  - {name: cone, prompts: [orange cone], negatives: [orange  jacket, Weste]}\n"
        "  - {name: jacket}\n",
    )
    vocabulary = read_vocabulary_file(path)
    assert vocabulary.classes[0].negatives == ("orange jacket", "Weste")
    write_vocabulary_file(path, vocabulary)
    assert read_vocabulary_file(path).classes == vocabulary.classes
    assert path.read_text().count("negatives") == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ("negatives: red", "the negatives of 'cone' are not a list of texts"),
        ("negatives: [3]", "the negatives of 'cone' are not a list of texts"),
    ],
)
def test_other_negatives_are_refused(tmp_path: Path, fields: str, reason: str) -> None:
    path = write(tmp_path, f"classes: [{{name: cone, {fields}}}]\n")
    with pytest.raises(VocabularyError, match=re.escape(reason)):
        read_vocabulary_file(path)


@pytest.mark.parametrize("number", ["seven", "1.5", "true", "[3]", "-1", "255", "65535", "9" * 30])
def test_an_id_that_label_images_cannot_have_is_refused(tmp_path: Path, number: str) -> None:
    path = write(tmp_path, f"classes:\n- {{name: mug, id: {number}}}\n")
    with pytest.raises(VocabularyError, match=r"id .*mug|mug.* id ") as refusal:
        read_vocabulary_file(path)
    assert len(str(refusal.value)) < 500


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
        ("classes: [mug]\nversion: 0\n", "the version 0 is not 1 to 4294967294"),
        ("classes: [mug]\nversion: 4294967295\n", "the version 4294967295 is not 1 to"),
        ("classes: [mug]\nversion: 99999999999999999999\n", "the version 99999999999999999999 is"),
        ("classes: [mug]\nversion: true\n", "not what the node writes"),
        ("classes: [mug]\ntrain: images\n", "unknown entry 'train'; take it out"),
        ("classes: [{name: mug, threshold: .nan}]\n", "is nan"),
        ("classes: [{name: mug, threshold: .inf}]\n", "is inf"),
        ("classes: [{name: mug, threshold: " + "9" * 400 + "}]\n", "a number of 400 characters"),
        ("classes: [&a [x], *a]\n", "an anchor"),
        ("classes: [[a, b]]\n", "a list of 2 entries is neither a name"),
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


def bomb(side: int) -> str:
    """A PNG of side x side pixels in a few hundred bytes, as its header says."""
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = [struct.pack(">I", 13) + ihdr + struct.pack(">I", zlib.crc32(ihdr))]
    for chunk in (b"IDAT" + zlib.compress(b"\0"), b"IEND"):
        chunks.append(
            struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        )
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(chunks)).decode()


@pytest.mark.parametrize("side", [6000, 10_000, 20_000, 2**31 - 1])
def test_an_exemplar_of_gigabytes_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    text = f"classes: [{{name: mug, exemplars: [{{image: '{bomb(side)}'}}]}}]"
    with pytest.raises(VocabularyError, match=r"an exemplar of 'mug' .* pixels"):
        read_vocabulary_file(write(tmp_path, text))


def test_the_limit_of_pixels_holds_for_each_exemplar_and_mask(tmp_path: Path) -> None:
    image, mask = (
        base64.b64encode(cv2.imencode(".png", np.ones(size, np.uint8))[1].tobytes()).decode()
        for size in ((3, 5), (4, 5))
    )
    text = f"classes: [{{name: mug, exemplars: [{{image: '{image}'}}]}}]"
    path = write(tmp_path, text)
    [read] = read_vocabulary_file(path, Limits(exemplar_pixels=15)).classes[0].exemplars
    assert read.image.shape == (3, 5, 3)
    with pytest.raises(VocabularyError, match="an image of 5x3 has more than the 14 pixels"):
        read_vocabulary_file(path, Limits(exemplar_pixels=14))
    masked = f"classes: [{{name: mug, exemplars: [{{image: '{image}', mask: '{mask}'}}]}}]"
    with pytest.raises(VocabularyError, match="an image of 5x4 has more than the 15 pixels"):
        read_vocabulary_file(write(tmp_path, masked), Limits(exemplar_pixels=15))


def test_an_exemplar_beyond_twelve_megapixels_is_refused_by_default(tmp_path: Path) -> None:
    path = write(tmp_path, f"classes: [{{name: mug, exemplars: [{{image: '{bomb(3600)}'}}]}}]")
    with pytest.raises(VocabularyError, match="3600x3600 has more than the 12582912 pixels"):
        read_vocabulary_file(path)


def test_many_exemplars_that_are_gigabytes_together_are_refused(tmp_path: Path) -> None:
    image = base64.b64encode(
        cv2.imencode(".png", np.zeros((3072, 4096), np.uint8))[1].tobytes()
    ).decode()
    entries = ", ".join([f"{{image: '{image}'}}"] * 11)
    with pytest.raises(VocabularyError, match="images have more than 134217728 pixels"):
        read_vocabulary_file(write(tmp_path, f"classes: [{{name: mug, exemplars: [{entries}]}}]"))


@pytest.mark.parametrize(
    "exemplar", ["{image: 7}", "{image: 'AAAA', mask: x}", "{}", "[a]", "{image: a, more: b}"]
)
def test_an_exemplar_of_another_form_is_refused(tmp_path: Path, exemplar: str) -> None:
    text = f"classes: [{{name: mug, exemplars: [{exemplar}]}}]"
    with pytest.raises(VocabularyError, match="an exemplar of 'mug' cannot be read"):
        read_vocabulary_file(write(tmp_path, text))


pieces = st.sampled_from(
    ["classes:", "ids: ", "version: ", "- ", "{name: a", ", threshold: ", ", prompts: ", "}", "[",
     "]", "\n", " ", "a", "9" * 400, ".nan", "-1", "true", "&a ", "*a ", "!!int ''", "\x1b", "\0",
     ", exemplars: ", "{image: AAAA}", "255", "2001-01-01", "\u202e", "? ", "<<: "]
)  # fmt: skip


@given(st.lists(pieces).map("".join) | st.text())
def test_any_text_is_a_vocabulary_or_one_short_printable_sentence(text: str) -> None:
    sentence = ""
    try:
        parse_vocabulary(text, "the text")
    except VocabularyError as error:
        sentence = str(error)
    assert len(sentence) < 500 and sentence.isprintable()


@given(st.binary() | st.binary().map(lambda data: HEADING.encode() + data))
def test_any_bytes_are_a_vocabulary_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "words.yaml"
    path.write_bytes(data)
    with contextlib.suppress(VocabularyError):
        read_vocabulary_file(path)
    assert path.read_bytes() == data


def test_a_missing_file_is_not_reported_as_damaged(tmp_path: Path) -> None:
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

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="No space left"):
        write_vocabulary_file(path, before.changed_to([TargetClass("duck")]))
    assert [file.name for file in tmp_path.iterdir()] == ["words.yaml"]
    assert read_vocabulary_file(path).names == ("mug",)


def test_a_file_that_is_set_aside_is_whole_and_out_of_the_way(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEADING}classes: [mug\n")
    aside = set_aside(path)
    assert not path.exists() and aside.parent == tmp_path
    assert aside.read_text() == f"{HEADING}classes: [mug\n"


def test_nothing_is_set_aside_that_the_node_did_not_write(tmp_path: Path) -> None:
    foreign = write(tmp_path, "classes: [mug\n")
    (tmp_path / "link").symlink_to(foreign)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    before = sorted(os.listdir(tmp_path))
    for name in before:
        with pytest.raises(FileError, match="is left as it is"):
            set_aside(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == before


def test_a_damaged_file_behind_a_link_is_not_set_aside(tmp_path: Path) -> None:
    write(tmp_path, f"{HEADING}classes: [mug\n")
    (tmp_path / "link").symlink_to("vocabulary.yaml")
    with pytest.raises(FileError, match="is left as it is"):
        set_aside(tmp_path / "link")


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("", True),
        ("\n", True),
        ("classes: [mug]\n", True),
        ("# mine\nclasses: [mug]\n", True),
        (f"{HEADING}classes: [mug\n", True),
        ("# comments alone\n", False),
        ("classes: [mug\n", False),
        ("classes: [mug]\nother: 1\n", False),
        ("words", False),
    ],
)
def test_a_file_is_replaced_only_where_it_is_a_vocabulary_blank_or_written_by_the_node(
    tmp_path: Path, text: str, ours: bool
) -> None:
    path = write(tmp_path, text)
    vocabulary = Vocabulary().changed_to([TargetClass("duck")])
    if ours:
        write_vocabulary_file(path, vocabulary)
        assert read_vocabulary_file(path).names == ("duck",)
    else:
        with pytest.raises(FileError, match="is left as it is"):
            write_vocabulary_file(path, vocabulary)
        assert path.read_text() == text
    assert os.listdir(tmp_path) == ["vocabulary.yaml"]


def test_what_would_be_too_large_to_be_read_again_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zs_seg_ros.vocabulary.vocabulary_file.MOST_BYTES", 100)
    with pytest.raises(FileError, match="more than the 100 that are read again"):
        write_vocabulary_file(
            tmp_path / "words.yaml", Vocabulary().changed_to([TargetClass("duck")])
        )
    assert os.listdir(tmp_path) == []


# --- the lock ---


def test_the_lock_is_held_once_and_says_by_whom(tmp_path: Path) -> None:
    file = tmp_path / "words.yaml"
    lock = VocabularyLock(file, "robot.left")
    holder = re.escape(f"is in use by robot.left (process {os.getpid()})")
    with pytest.raises(FileError, match=holder):
        VocabularyLock(file, "robot.right")
    lock.release()
    VocabularyLock(file, "robot.right").release()
    assert os.listdir(tmp_path) == ["words.yaml.lock"]


def test_the_lock_of_a_link_is_that_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("words.yaml")
    lock = VocabularyLock(tmp_path / "words.yaml", "one")
    with pytest.raises(FileError, match="is in use by one"):
        VocabularyLock(tmp_path / "link", "other")
    lock.release()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, time; from zs_seg_ros.vocabulary.vocabulary_lock import VocabularyLock;"
        "lock = VocabularyLock(sys.argv[1], 'gone'); print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "words.yaml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(FileError, match=rf"is in use by gone \(process {process.pid}\)"):
            VocabularyLock(tmp_path / "words.yaml", "next")
        process.kill()
    VocabularyLock(tmp_path / "words.yaml", "next").release()


@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "device", "file"])
def test_what_else_is_in_the_place_of_the_lock_is_left(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "words.yaml.lock"
    if kind == "folder":
        place.mkdir()
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to(os.devnull if kind == "device" else "nowhere")
    before = place.lstat()
    with pytest.raises(
        FileError, match=r"words\.yaml\.lock is .* and is left as it is|a symbolic link"
    ):
        VocabularyLock(tmp_path / "words.yaml", "node")
    after = place.lstat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (
        before.st_ino, before.st_size, before.st_mtime_ns,
    )  # fmt: skip
    assert os.listdir(tmp_path) == ["words.yaml.lock"]


def test_a_vocabulary_larger_than_any_limit_is_still_one_that_the_node_may_replace(
    tmp_path: Path,
) -> None:
    path = tmp_path / "words.yaml"
    prompts = "".join(f"\n      - prompt {number}" for number in range(2500))
    path.write_text(f"classes:\n  - name: mug\n    prompts:{prompts}\n")
    assert is_vocabulary_file(path)
