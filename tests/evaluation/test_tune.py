# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Tuning: choices that hold in frames left out, and refusals to overfit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from scenes import SQUARES, image, write_class_id_images

from zs_seg_ros.cli.main import main
from zs_seg_ros.evaluation.tuning import Choice, Counts, frame_counts, tune
from zs_seg_ros.segmenters.fake import PALETTE
from zs_seg_ros.vocabulary.vocabulary_file import read_vocabulary_file


def counts(right: dict[int, int], wrong: dict[int, int], expected: int, frames: int = 20) -> Counts:
    """Return counts of one class that are equal in all frames; right and wrong: pixels by confidence 0..255."""
    arrays = np.zeros((2, frames, 1, 256), np.int64)
    for array, values in zip(arrays, (right, wrong), strict=True):
        for confidence, pixels in values.items():
            array[:, 0, confidence] = pixels
    return Counts(arrays[0], arrays[1], np.full((frames, 1), expected))


def test_a_frame_is_counted_by_class_and_confidence() -> None:
    truth = np.array([[1, 1, 2, 0, 65535]], np.uint16)
    label = np.array([[1, 2, 2, 2, 1]], np.uint16)
    confidence = np.array([[200, 90, 30, 90, 5]], np.uint8)
    right, wrong, expected = frame_counts(truth, label, confidence, 2)
    assert expected.tolist() == [2, 1]
    assert (right[0, 200], right[1, 30], right.sum()) == (1, 1, 2)
    assert (wrong[1, 90], wrong.sum()) == (2, 2)


def test_the_threshold_that_separates_right_from_wrong_is_chosen() -> None:
    # All right pixels are above 0.75 (191), the wrong ones below it.
    [tuned] = tune(["mug"], [0.5], [[counts({230: 100}, {150: 60, 180: 40}, 100)]])
    assert tuned.iou_before == pytest.approx(0.5) and tuned.iou_after == pytest.approx(1)
    assert tuned.choice.candidate == 0 and 0.71 < tuned.choice.threshold <= 0.9
    assert not tuned.problem


def test_the_better_prompt_is_chosen() -> None:
    all_prompts = counts({230: 50}, {230: 50}, 100)
    runs = [all_prompts, counts({230: 40}, {230: 50}, 100), counts({128: 90}, {}, 100)]
    [tuned] = tune(["mug"], [0.5], [runs])
    assert tuned.choice.candidate == 2 and tuned.iou_after == pytest.approx(0.9)


def test_a_class_that_is_best_as_given_stays() -> None:
    [tuned] = tune(["mug"], [0.5], [[counts({230: 100}, {}, 100), counts({230: 99}, {}, 100)]])
    assert tuned.choice == Choice(0, 0.5) and tuned.problem == "it is best as given"


def test_a_gain_in_one_part_of_the_frames_alone_is_refused() -> None:
    given = counts({230: 70}, {}, 100)
    other = counts({230: 20}, {}, 100)
    other.right[:8, 0, 230] = 100_000  # large objects, in neighbouring frames
    other.expected[:8] = 100_000
    given.right[:8, 0, 230] = 90_000
    given.expected[:8] = 100_000
    [tuned] = tune(["mug"], [0.5], [[given, other]])
    assert (
        tuned.choice.candidate == 1 and not tuned.problem
    )  # it holds in both folds with large objects
    other.right[4:8, 0, 230] = 10_000
    [tuned] = tune(["mug"], [0.5], [[given, other]])
    assert tuned.choice == Choice(0, 0.5) and tuned.problem


def test_a_class_in_few_frames_stays_and_says_so() -> None:
    few = counts({230: 100}, {150: 100}, 100)
    few.expected[4:] = few.right[4:] = few.wrong[4:] = 0
    [tuned] = tune(["mug"], [0.5], [[few]])
    assert tuned.choice == Choice(0, 0.5) and tuned.problem == "it occurs in 4 frames only"


def test_noise_gives_no_gain() -> None:
    random = np.random.default_rng(3)
    changed = 0
    for _ in range(20):
        base = counts({}, {}, 100)
        base.right[:, 0] = random.multinomial(90, np.full(256, 1 / 256), 20)
        base.wrong[:, 0] = random.multinomial(30, np.full(256, 1 / 256), 20)
        runs = [base]
        for _ in range(4):  # prompts that differ from the given ones by chance alone
            other = counts({}, {}, 100)
            other.right[:, 0] = random.multinomial(90, np.full(256, 1 / 256), 20)
            other.wrong[:, 0] = random.multinomial(30, np.full(256, 1 / 256), 20)
            runs.append(other)
        [tuned] = tune(["mug"], [0.05], [runs])
        changed += tuned.choice.candidate > 0
    assert changed <= 4


# --- the command ---


def faded(name: str, amount: int) -> np.ndarray:  # type: ignore[type-arg]
    """Draw the squares, and a patch whose colour is near that of a class: the model labels it with less confidence."""
    pixels = image()
    colour = np.array(PALETTE[name], np.int64)
    pixels[26:46, 2:30] = np.clip(colour + np.where(colour > 127, -amount, amount), 0, 255)
    return pixels


def test_a_threshold_is_raised_above_false_areas(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = write_class_id_images(tmp_path, {f"{i:02}": faded("red", 30) for i in range(12)})
    out = tmp_path / "words.yaml"
    command = ["tune", str(truth), "--model", "fake", "--threshold", "0.1", "-o", str(out)]
    assert main(command) == 0
    vocabulary = read_vocabulary_file(out)
    red, blue = vocabulary.classes
    assert red.name == "red" and red.threshold > 0.1
    assert blue.threshold == 0
    printed = capsys.readouterr().out
    assert "blue" in printed and "it is best as given" in printed
    assert not out.with_name("words.yaml.partial").exists()
    scores = tmp_path / "scores.json"
    evaluate = ["evaluate", str(truth), "--model", "fake", "--json", str(scores)]
    assert main([*evaluate, "--threshold", "0.1"]) == 0
    before = yaml.safe_load(scores.read_text())[0]["mean_iou"]
    assert main([*evaluate, "--vocabulary", str(out)]) == 0
    assert yaml.safe_load(scores.read_text())[0]["mean_iou"] > before + 0.05


def test_the_prompt_that_confuses_is_left_out(tmp_path: Path) -> None:
    pixels = image()
    pixels[26:46, 2:30] = PALETTE["green"]
    truth = write_class_id_images(tmp_path, {f"{i:02}": pixels for i in range(12)})
    out = tmp_path / "words.yaml"
    command = ["tune", str(truth), "--model", "fake", "-o", str(out)]
    assert main([*command, "--classes", "red=green|red", "blue"]) == 0
    red, blue = read_vocabulary_file(out).classes
    assert red.prompts == ("red",) and blue.prompts == ()


def test_few_frames_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = write_class_id_images(tmp_path, {str(i): image() for i in range(9)})
    out = tmp_path / "words.yaml"
    assert main(["tune", str(truth), "--model", "fake", "-o", str(out)]) == 2
    assert "9 labelled frames, which do not suffice" in capsys.readouterr().err
    assert not out.exists()


def test_an_interrupted_command_continues_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = write_class_id_images(tmp_path, {f"{i:02}": image() for i in range(12)})
    out = tmp_path / "words.yaml"
    command = ["tune", str(truth), "--model", "fake", "-o", str(out)]
    command += ["--classes", "red=red|maroon", "blue"]
    from zs_seg_ros.segmenters.fake import FakeSegmenter

    segment, calls = FakeSegmenter.segment, [0]

    def interrupted_in_the_sixth_frame(self, batch, encoded):  # type: ignore[no-untyped-def]
        calls[0] += 1
        if calls[0] == 18:
            raise KeyboardInterrupt
        return segment(self, batch, encoded)

    monkeypatch.setattr(FakeSegmenter, "segment", interrupted_in_the_sixth_frame)
    assert main(command) == 130
    assert not out.exists() and out.with_name("words.yaml.partial").exists()
    assert main(command) == 0
    assert (
        calls[0] == 18 + 3 * 12 - 17
    )  # of three vocabularies on twelve frames, 17 calls were finished
    uninterrupted = tmp_path / "others.yaml"
    assert main([*command[:-1][:4], "-o", str(uninterrupted), *command[6:]]) == 0
    assert uninterrupted.read_bytes() == out.read_bytes()


def test_a_foreign_partial_file_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = write_class_id_images(tmp_path, {f"{i:02}": image() for i in range(12)})
    foreign = tmp_path / "words.yaml.partial"
    foreign.write_text("mine")
    out = tmp_path / "words.yaml"
    assert main(["tune", str(truth), "--model", "fake", "-o", str(out)]) == 2
    assert "is not a file of zs-seg tune" in capsys.readouterr().err
    assert foreign.read_text() == "mine" and not out.exists()


def test_squares_lie_apart_from_the_false_patch() -> None:
    assert SQUARES["red"][0].stop <= 26 and SQUARES["blue"][1].start >= 30
