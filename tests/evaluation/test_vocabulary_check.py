# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The check of a vocabulary on images without labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_bags import Camera, write_bag

from zs_seg_ros.cli.main import main
from zs_seg_ros.evaluation.vocabulary_check import VocabularyCheck

RED, BLUE = (slice(10, 30), slice(10, 30)), (slice(40, 60), slice(40, 70))


def write_images(folder: Path, count: int = 3) -> Path:
    folder.mkdir()
    for number in range(count):
        image = np.full((80, 100, 3), 90, np.uint8)
        image[RED] = (255, 0, 0)
        if number:
            image[BLUE] = (0, 0, 255)
        Image.fromarray(image).save(folder / f"{number}.png")
    return folder


def checked(
    path: Path, tmp_path: Path, *classes: str, options: tuple[str, ...] = ()
) -> dict[str, object]:
    output = tmp_path / "check.json"
    arguments = [
        "evaluate",
        str(path),
        "--vocabulary-check",
        "--model",
        "fake",
        "--json",
        str(output),
    ]
    assert main([*arguments, *options, "--classes", *classes]) == 0
    values: dict[str, object] = json.loads(output.read_text())
    return values


def test_classes_that_label_the_same_pixels_are_found(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images")
    values = checked(images, tmp_path, "red", "blue", "scarlet=red|crimson red")
    assert values["images"] == 3
    assert values["findings"] == [
        "'red' and 'scarlet' label the same pixels (IoU 1.00): make them one class, or describe the difference"
    ]
    assert [(c["name"], c["pixels"], c["images"]) for c in values["classes"]] == [  # type: ignore[attr-defined]
        ("red", 3 * 400, 3),
        ("blue", 2 * 600, 2),
        ("scarlet", 3 * 400, 3),
    ]


def test_a_class_that_is_contained_in_another_is_found(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images")
    values = checked(images, tmp_path, "red", "anything=red|blue|brown|grey")
    contained, everywhere = values["findings"]  # type: ignore[misc]
    assert contained.startswith("'red' is contained in 'anything' (100% of its pixels)")
    assert everywhere.startswith("'anything' labels 100% of all pixels")


def test_a_class_that_is_in_no_image_is_found(tmp_path: Path) -> None:
    values = checked(write_images(tmp_path / "images"), tmp_path, "red", "green")
    [finding] = values["findings"]  # type: ignore[misc]
    assert finding.startswith("'green' is in no image")


def test_a_recording_without_labels_is_checked(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", Camera("camera"), frames=6)
    values = checked(bag, tmp_path, "red", options=("--limit", "3"))
    assert values["images"] == 3


def counts(*rows: tuple[int, ...], pixels: int = 1000) -> VocabularyCheck:
    overlaps = np.array(rows, np.int64)
    names = tuple("abcdef"[: len(rows)])
    return VocabularyCheck(names, 1, pixels, overlaps, np.ones(len(rows), np.int64))


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (counts((100, 0), (0, 100)), ()),
        (counts((100, 66), (66, 100)), ()),
        (counts((100, 67), (67, 100)), ("'a' and 'b' label the same",)),
        (counts((50, 40), (40, 200)), ("'a' is contained in 'b' (80% of its pixels)",)),
        (counts((200, 40), (40, 50)), ("'b' is contained in 'a' (80% of its pixels)",)),
        (counts((50, 39), (39, 200)), ()),
        (counts((500,)), ("'a' labels 50% of all pixels",)),
        (counts((0, 0), (0, 10)), ("'a' is in no image",)),
        (counts((5, 5), (5, 5), pixels=10**6), ()),
    ],
)
def test_findings_begin_at_their_limits(check: VocabularyCheck, expected: tuple[str, ...]) -> None:
    found = check.findings()
    assert len(found) == len(expected)
    for text, start in zip(found, expected, strict=True):
        assert text.startswith(start)
    assert all(text in check.table() for text in found)


def test_classes_are_required_and_a_missing_path_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = write_images(tmp_path / "images")
    assert main(["evaluate", str(images), "--vocabulary-check", "--model", "fake"]) == 2
    assert "--vocabulary-check needs the classes" in capsys.readouterr().err
    missing = str(tmp_path / "missing.png")
    command = ["evaluate", missing, "--vocabulary-check", "--model", "fake", "--classes", "red"]
    assert main(command) == 2
    assert "there is no image" in capsys.readouterr().err
