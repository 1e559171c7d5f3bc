# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A golden file of a stranger, or a damaged one: refused in one sentence with the exit code 2, and never obeyed."""

from __future__ import annotations

import errno
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from zs_seg_ros.errors import ReplayError
from zs_seg_ros.replay.golden import Golden, GoldenWriter
from zs_seg_ros.replay.results import (
    EXEMPLARS,
    CameraSettings,
    FrameResult,
    ObjectResult,
    RunSettings,
)
from zs_seg_ros.ros.replay.command import COULD_NOT_RUN, main
from zs_seg_ros.types import Box
from zs_seg_ros.vocabulary.vocabulary import TargetClass

SETTINGS = RunSettings(
    "a bag",
    "fake",
    (TargetClass("red mug"), TargetClass("duck")),
    (CameraSettings("front", "raw", "raw"),),
    1,
    {"track": True, "default_threshold": 0.5, "min_area": 50, "max_objects": 9, EXEMPLARS: 0},
)
LABEL = "labels/front/000000.png"


def write(path: Path) -> bytes:
    label = np.zeros((6, 8), np.uint16)
    label[1:4, 2:5] = 1
    box = Box(2, 1, 3, 3)
    objects = (
        ObjectResult("red mug", 0.75, box, np.ones((3, 3), bool), 7, (0.1, 0.2, 1.5)),
        ObjectResult("duck", 0.5, box, np.eye(3, dtype=bool)),
    )
    with GoldenWriter(path, SETTINGS.names) as writer:
        writer.add(FrameResult("front", 0, 123, label, objects))
        writer.finish(SETTINGS)
    return path.read_bytes()


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, changed: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> None:
    """Write the golden file of `write` with other members."""
    write(path)
    content = members(path) | changed
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def edit(path: Path, name: str, change: Callable[[Any], None]) -> None:
    write(path)
    value = json.loads(members(path)[name])
    change(value)
    rewrite(path, {name: json.dumps(value).encode()})


def outcome(path: Path) -> str:
    """Read all of it; the sentence that it is refused with, or ''."""
    try:
        with Golden(path) as golden:
            golden.frame_count(["front"])
            golden.frame("front", 0)
    except ReplayError as error:
        return str(error)
    return ""


def check_refused(path: Path, reason: str = "") -> None:
    sentence = outcome(path)
    assert sentence, "not refused"
    assert reason in sentence
    assert len(sentence) < 500 + len(str(path)) and sentence.isprintable()


# --- settings ---


@pytest.mark.parametrize("key", ["engine", "precision"])
@pytest.mark.parametrize("value", [["torch"], 1, "to\u202erch", "x" * 10_001], ids=repr)
def test_an_engine_or_a_precision_that_is_no_short_text_is_refused(
    tmp_path: Path, key: str, value: object
) -> None:
    path = tmp_path / "golden"
    edit(path, "golden.json", lambda heading: heading.update({key: value}))
    check_refused(path, f"{key} is")


def test_a_file_of_a_version_that_did_not_record_them_has_no_engine_and_no_precision(
    tmp_path: Path,
) -> None:
    path = tmp_path / "golden"
    edit(path, "golden.json", lambda heading: [heading.pop(k) for k in ("engine", "precision")])
    with Golden(path) as golden:
        assert golden.settings == SETTINGS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vocabulary_file", "/somewhere/words.yaml"),
        ("model_timeout", 0),
        ("use_sim_time", True),
        ("autostart", False),
        ("cameras", ["front"]),
        ("x:=1 -p vocabulary_file", "y"),
        ("front.transport", "raw"),
        ("", 1),
        ("model", "another"),
    ],
)
def test_a_setting_that_no_golden_file_has_is_refused(
    tmp_path: Path, name: str, value: object
) -> None:
    path = tmp_path / "golden"
    edit(path, "golden.json", lambda heading: heading["settings"].update({name: value}))
    check_refused(path, "which no golden file has")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("track", 1),
        ("track", "true"),
        ("default_threshold", 2),
        ("default_threshold", "0.5"),
        ("default_threshold", True),
        ("min_area", -1),
        ("min_area", 1.5),
        ("min_area", 2**70),
        ("max_objects", [1]),
        ("max_objects", {"a": 1}),
        ("precision", "fp8"),
        ("precision", ["auto"]),
        (EXEMPLARS, -1),
    ],
)
def test_a_setting_with_a_wrong_value_is_refused(tmp_path: Path, name: str, value: object) -> None:
    path = tmp_path / "golden"
    edit(path, "golden.json", lambda heading: heading["settings"].update({name: value}))
    check_refused(path, f"{name} is ")


@pytest.mark.parametrize(
    "camera",
    [
        "", "/", "../up", "a b", "vocabulary_file:=x #", "front.transport", "front\n[ERROR] forged", 7, None,
    ],
)  # fmt: skip
def test_a_camera_that_is_no_topic_name_is_refused(tmp_path: Path, camera: object) -> None:
    path = tmp_path / "golden"
    edit(path, "golden.json", lambda heading: heading["cameras"][0].update(name=camera))
    check_refused(path)


# --- damage ---


wrong: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**80), 2**80),
    st.floats(),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.just([[1]]),
    st.just([2**70]),
    st.just("\x1b[31m\n[ERROR] forged"),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    value[path[0]] = replaced(value[path[0]], path[1:], by)
    return value


@pytest.mark.parametrize("name", ["golden.json", "objects.jsonl"])
@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_wrong_value_anywhere_is_read_or_refused_in_one_sentence(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    path = tmp_path / "golden"
    path.unlink(missing_ok=True)
    write(path)
    value = json.loads(members(path)[name])
    place = data.draw(st.sampled_from(places(value)))
    text = json.dumps(replaced(value, place, data.draw(wrong))).encode()
    rewrite(path, {name: text})
    sentence = outcome(path)
    assert len(sentence) < 500 + len(str(path)) and sentence.isprintable()


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_that_are_cut_or_changed_give_results_or_one_sentence(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "golden"
    path.unlink(missing_ok=True)
    content = bytearray(write(path))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.just(len(content)) | st.integers(0, len(content)))
    path.write_bytes(content[:end])
    sentence = outcome(path)
    assert len(sentence) < 500 + len(str(path)) and sentence.isprintable()


@given(st.sampled_from(["golden.json", "objects.jsonl", LABEL]), st.binary())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_in_a_member_give_results_or_one_sentence(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / "golden"
    path.unlink(missing_ok=True)
    rewrite(path, {name: content})
    sentence = outcome(path)
    assert len(sentence) < 500 + len(str(path)) and sentence.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 100_000,
        b'{"format": ' + b"9" * 5000 + b"}",
        b"NaN",
        b"\xff\xfe",
        b"",
        b"null",
        b"[]",
    ],
)
@pytest.mark.parametrize("name", ["golden.json", "objects.jsonl"])
def test_json_of_the_worst_kind_is_refused(tmp_path: Path, name: str, text: bytes) -> None:
    rewrite(tmp_path / "golden", {name: text})
    if name == "golden.json" or text:
        check_refused(tmp_path / "golden", "is no golden file, or is damaged")


def test_a_member_that_is_missing_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "golden", "w") as archive:
        archive.writestr("something", "else")
    check_refused(tmp_path / "golden", "golden.json")


# --- sizes ---


@pytest.mark.parametrize("name", ["golden.json", "objects.jsonl", LABEL])
def test_a_member_that_unpacks_to_far_more_is_refused_before_it_is_unpacked(
    tmp_path: Path, name: str
) -> None:
    rewrite(tmp_path / "golden", {name: b" " * (140 << 20)})
    assert (tmp_path / "golden").stat().st_size < 1 << 20
    check_refused(tmp_path / "golden", "unpacks to 146800640 bytes, which is too much")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path: Path, compression: int) -> None:
    rewrite(tmp_path / "golden", {}, compression)
    check_refused(tmp_path / "golden", "compressed in another way")


def png(side: int) -> bytes:
    """A PNG that claims side x side pixels."""
    chunks = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")):
        chunks += struct.pack(">I", len(data)) + kind + data
        chunks += struct.pack(">I", zlib.crc32(kind + data))
    return chunks


@pytest.mark.parametrize("side", [6000, 10_000, 20_000, 2**31 - 1])
def test_a_label_image_of_gigabytes_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    rewrite(tmp_path / "golden", {LABEL: png(side)})
    check_refused(tmp_path / "golden", "is damaged at image 0 of front")


@pytest.mark.parametrize("form", ["JPEG", "EPS", "GIF", "TIFF", "PPM"])
def test_a_label_image_of_another_format_is_not_opened(tmp_path: Path, form: str) -> None:
    file = io.BytesIO()
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(file, form)
    rewrite(tmp_path / "golden", {LABEL: file.getvalue()})
    check_refused(tmp_path / "golden", "cannot identify image file")


def test_a_label_image_in_colours_or_of_a_class_that_is_not_there_is_refused(
    tmp_path: Path,
) -> None:
    for pixels in (np.zeros((6, 8, 3), np.uint8), np.full((6, 8), 3, np.uint8)):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        rewrite(tmp_path / "golden", {LABEL: file.getvalue()})
        check_refused(tmp_path / "golden", "a label image has")
        (tmp_path / "golden").unlink()


@pytest.mark.parametrize(
    "change",
    [
        {"box": [0, 0, 2**70, 2**70], "mask": [2**70]},
        {"box": [0, 0, 8, 6], "mask": [2**62, 2**62]},
        {"box": [0, 0, 8, 6], "mask": [-1, 49]},
        {"box": [0, 0, 8, 6], "mask": [47]},
        {"box": [0, 0, 8, 6], "mask": [True, 47]},
        {"box": [-1, 0, 2, 2]},
        {"box": [7, 0, 2, 2]},
        {"box": [0, 0, 8]},
        {"class": "another"},
        {"score": 1.5},
        {"track": -1},
        {"track": 2**32},
        {"position": [1, 2]},
        {"position": [1, 2, "3"]},
    ],
)
def test_an_object_that_cannot_be_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "golden"
    edit(path, "objects.jsonl", lambda line: line["objects"][0].update(change))
    check_refused(path, "is damaged at image 0 of front")


def test_objects_whose_masks_are_gigabytes_together_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zs_seg_ros.replay.golden_content.MOST_MASK_PIXELS", 480)
    whole = {"class": "duck", "score": 0.5, "box": [0, 0, 8, 6], "track": 0}
    path = tmp_path / "golden"
    edit(path, "objects.jsonl", lambda line: line.update(objects=[whole] * 11))
    check_refused(path, "its 11 objects have more than 480 pixels")


def test_more_lines_than_label_images_are_refused(tmp_path: Path) -> None:
    rewrite(tmp_path / "golden", {"objects.jsonl": b"\n" * 1000})
    check_refused(tmp_path / "golden", "has more lines than there are label images")


# --- the place ---


def test_what_is_no_regular_file_is_not_opened_and_stays(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("kept")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to(os.devnull)
    (tmp_path / "link").symlink_to("nowhere")
    before = {path.name: path.lstat() for path in tmp_path.iterdir()}
    for name, kind in {
        "folder": "a folder", "pipe": "a FIFO", "null": "a device", "link": "a symbolic link",
    }.items():  # fmt: skip
        check_refused(tmp_path / name, f"is {kind}")
        with pytest.raises(ReplayError, match=f"is {kind}"):
            GoldenWriter(tmp_path / name, ())
    after = {path.name: path.lstat() for path in tmp_path.iterdir()}
    assert {name: (s.st_ino, s.st_mtime_ns) for name, s in after.items()} == {
        name: (s.st_ino, s.st_mtime_ns) for name, s in before.items()
    }


@pytest.mark.parametrize("content", ["text", "zip", "json"])
def test_update_leaves_a_file_that_is_no_golden_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "golden"
    if content == "text":
        path.write_text("my thesis")
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("golden.json" if content == "json" else "thesis", '{"format": "mine"}')
    before = path.read_bytes()
    with pytest.raises(ReplayError, match="was not written by this program and is left as it is"):
        GoldenWriter(path, ())
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["golden"]
    assert main([str(tmp_path / "bag"), "--golden", str(path), "--update"]) == COULD_NOT_RUN
    assert path.read_bytes() == before


def test_update_replaces_a_golden_file_and_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "golden").touch()
    data = write(tmp_path / "golden")
    assert write(tmp_path / "golden") == data and os.listdir(tmp_path) == ["golden"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write(tmp_path / "golden")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ReplayError, match="golden cannot be written: No space left on device"):
        write(tmp_path / "golden")
    assert (tmp_path / "golden").read_bytes() == before and os.listdir(tmp_path) == ["golden"]


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\0" * 100, b"{", zlib.compress(b"x" * 1000)]
)
def test_replay_test_ends_with_2_and_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / "golden").write_bytes(content)
    assert main([str(tmp_path), "--golden", str(tmp_path / "golden")]) == COULD_NOT_RUN
    errors = capsys.readouterr().err
    assert errors.startswith("replay_test: ") and errors.count("\n") == 1
