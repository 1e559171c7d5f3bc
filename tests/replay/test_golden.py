# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Golden files: what goes in comes out, and the same results are the same bytes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from zs_seg_ros.errors import ReplayError
from zs_seg_ros.replay.golden import Golden, GoldenWriter
from zs_seg_ros.replay.results import (
    CameraSettings,
    FrameResult,
    ObjectResult,
    RunSettings,
    are_identical,
)
from zs_seg_ros.types import Box
from zs_seg_ros.vocabulary.vocabulary import TargetClass

NAMES = ("red mug", "Tässchen", "third")
SETTINGS = RunSettings(
    "a bag",
    "fake",
    (
        TargetClass("red mug", ("cup", "mug"), 0.25),
        TargetClass("Tässchen", negatives=("ein Kännchen", "jar")),
        TargetClass("third"),
    ),
    (CameraSettings("front", "raw", None), CameraSettings("arm/left", "compressed", "raw")),
    3,
    {"track": True, "default_threshold": 0.5, "min_area": 50, "precision": "int8"},
    engine="onnxruntime (CPUExecutionProvider)",
    precision="int8",
)

shapes = st.tuples(st.integers(1, 12), st.integers(1, 12))
coordinates = st.floats(-100, 100).map(lambda value: round(value, 6))


@st.composite
def objects(draw: st.DrawFn, height: int, width: int) -> ObjectResult:
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    box = Box(left, top, draw(st.integers(1, width - left)), draw(st.integers(1, height - top)))
    return ObjectResult(
        draw(st.sampled_from(NAMES)),
        draw(st.floats(0, 1).map(lambda score: round(score, 6))),
        box,
        draw(arrays(np.bool_, (box.height, box.width))),
        draw(st.integers(0, 2**32 - 1)),
        draw(st.none() | st.tuples(coordinates, coordinates, coordinates)),
    )


@st.composite
def results(draw: st.DrawFn) -> FrameResult:
    height, width = draw(shapes)
    highest = len(NAMES)
    return FrameResult(
        draw(st.sampled_from(["front", "arm/left"])),
        draw(st.integers(0, 10**6)),
        draw(st.integers(-(10**9), 2**61)),
        draw(arrays(np.uint16, (height, width), elements=st.integers(0, highest))),
        tuple(draw(st.lists(objects(height, width), max_size=4))),
    )


def write(path: Path, *frames: FrameResult) -> bytes:
    with GoldenWriter(path, NAMES) as writer:
        for frame in frames:
            writer.add(frame)
        writer.finish(SETTINGS)
    return path.read_bytes()


def a_frame(index: int = 0) -> FrameResult:
    label = np.zeros((6, 8), np.uint16)
    label[1:4, 2:5] = 1
    detected = ObjectResult(
        "red mug", 0.75, Box(2, 1, 3, 3), np.ones((3, 3), bool), 7, (0.1, 0.2, 1.5)
    )
    return FrameResult("front", index, 1_700_000_000_000_000_000 + index, label, (detected,))


@given(results())
@settings(max_examples=60)
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, result: FrameResult
) -> None:
    path = tmp_path_factory.mktemp("golden") / "golden"
    write(path, result)
    with Golden(path) as golden:
        read = golden.frame(result.camera, result.index)
        assert read is not None
        assert are_identical(result, read)
        assert (read.camera, read.index, read.stamp_ns) == (
            result.camera,
            result.index,
            result.stamp_ns,
        )
        assert golden.settings == SETTINGS


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    one = write(tmp_path / "one", a_frame(0), a_frame(1))
    assert write(tmp_path / "other", a_frame(0), a_frame(1)) == one


def test_a_mask_that_is_just_its_class_in_its_box_costs_nothing(tmp_path: Path) -> None:
    write(tmp_path / "golden", a_frame())
    assert b'"mask"' not in zipfile.ZipFile(tmp_path / "golden").read("objects.jsonl")


def test_frames_that_it_does_not_have_are_none_and_frames_are_counted_by_camera(
    tmp_path: Path,
) -> None:
    write(tmp_path / "golden", a_frame(0), a_frame(4))
    with Golden(tmp_path / "golden") as golden:
        assert golden.frame("front", 1) is None
        assert golden.frame("back", 0) is None
        assert golden.frame_count(["front"]) == 2
        assert golden.frame_count(["back"]) == 0


def test_a_replay_that_is_given_up_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    before = write(tmp_path / "golden", a_frame())
    with GoldenWriter(tmp_path / "golden", NAMES) as writer:
        writer.add(a_frame(1))
    assert [path.name for path in tmp_path.iterdir()] == ["golden"]
    assert (tmp_path / "golden").read_bytes() == before


def test_a_missing_file_says_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match=r"there is no golden file .*; make it with --update"):
        Golden(tmp_path / "golden")


@pytest.mark.parametrize("content", [b"", b"something else", b"PK\x03\x04"])
def test_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "golden").write_bytes(content)
    with pytest.raises(ReplayError, match="is no golden file, or is damaged"):
        Golden(tmp_path / "golden")


def test_another_version_of_the_format_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "golden", "w") as archive:
        archive.writestr("golden.json", '{"format": "golden results of zs_seg_ros", "version": 99}')
        archive.writestr("objects.jsonl", "")
    with pytest.raises(ReplayError, match="version 99"):
        Golden(tmp_path / "golden")


def test_a_damaged_label_image_is_reported_with_its_frame(tmp_path: Path) -> None:
    data = bytearray(write(tmp_path / "golden", a_frame()))
    place = data.index(b"IDAT") + 6
    data[place] ^= 0xFF
    (tmp_path / "golden").write_bytes(data)
    with (
        Golden(tmp_path / "golden") as golden,
        pytest.raises(ReplayError, match="damaged at image 0 of front"),
    ):
        golden.frame("front", 0)


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="cannot be written"):
        GoldenWriter(tmp_path / "missing" / "golden", NAMES)
