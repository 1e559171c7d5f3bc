# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Proposals of `zs-seg tune`: classes to merge and negatives, from what is confused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scenes import image, write_class_id_images

from zs_seg_ros.cli.main import main
from zs_seg_ros.evaluation.proposals import frame_confusion, proposals
from zs_seg_ros.vocabulary.vocabulary_file import read_vocabulary_file


def confusion(*rows: tuple[int, ...], frames: int = 10) -> np.ndarray:
    """Return equal confusions of some frames: rows of the ground truth, columns of labels, 0 first."""
    return np.stack([np.array(rows, np.int64)] * frames)


def test_a_frame_is_counted_at_the_thresholds() -> None:
    truth = np.array([[1, 1, 2, 3, 0, 65535]], np.uint16)
    label = np.array([[1, 2, 2, 1, 1, 1]], np.uint16)
    confidence = np.array([[200, 90, 30, 128, 127, 255]], np.uint8)
    counts = frame_confusion(truth, label, confidence, np.array([0.5, 0.2], np.float32), 3)
    expected = np.zeros((4, 3), np.int64)
    expected[1, 1] = expected[1, 2] = expected[3, 1] = 1
    expected[2, 0] = expected[0, 0] = 1  # below the thresholds of their classes
    assert (counts == expected).all()


def test_classes_that_share_their_pixels_at_random_are_to_be_merged() -> None:
    counts = confusion((0, 0, 0), (0, 50, 50), (0, 50, 50))
    [proposal] = proposals(["cup", "mug"], ["cup", "mug"], counts)
    assert proposal.text.startswith("merge 'cup' and 'mug' into one class: IoU +0.667 ")
    assert proposal.gain == pytest.approx(1 - 1 / 3)


def test_classes_that_are_told_apart_are_left() -> None:
    counts = confusion((0, 5, 5), (5, 90, 5), (5, 5, 90))
    assert proposals(["cup", "mug"], ["cup", "mug"], counts) == ()


def test_a_merge_that_does_not_help_in_some_frames_is_not_proposed() -> None:
    counts = confusion((0, 0, 0), (0, 50, 50), (0, 50, 50))
    counts[:2] = np.array(((0, 0, 900), (0, 100, 0), (90, 0, 0)))
    assert proposals(["cup", "mug"], ["cup", "mug"], counts) == ()


def test_a_class_in_few_frames_is_not_merged() -> None:
    counts = confusion((0, 0, 0), (0, 50, 50), (0, 50, 50))
    counts[4:, 1] = 0
    assert proposals(["cup", "mug"], ["cup", "mug"], counts) == ()


def test_a_class_of_the_ground_truth_that_gets_the_false_pixels_is_a_negative() -> None:
    counts = confusion(
        (0, 10), (0, 100), (50, 90)
    )  # background, cone, jacket; only cone is asked for
    [proposal] = proposals(["cone"], ["cone", "jacket"], counts)
    assert proposal.text == (
        "give 'cone' the negative 'jacket', on which 90% of its false pixels are: IoU +0.409 at most"
    )
    assert proposal.gain == pytest.approx(100 / 110 - 100 / 200)


def test_false_pixels_on_nothing_in_particular_give_no_negative() -> None:
    assert proposals(["cone"], ["cone", "jacket"], confusion((0, 90), (0, 100), (50, 10))) == ()


def test_the_largest_gain_comes_first() -> None:
    counts = confusion((0, 0, 0), (0, 50, 50), (0, 50, 50), (0, 20, 200))
    texts = [p.text for p in proposals(["a", "b"], ["a", "b", "c"], counts)]
    gains = [p.gain for p in proposals(["a", "b"], ["a", "b", "c"], counts)]
    assert len(texts) >= 2 and gains == sorted(gains, reverse=True)


def test_the_command_prints_proposals_and_writes_them_as_comments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = write_class_id_images(tmp_path, {f"{number:02}": image() for number in range(12)})
    out = tmp_path / "words.yaml"
    command = ["tune", str(truth), "--model", "fake", "-o", str(out)]
    assert main([*command, "--classes", "red=red|blue"]) == 0
    printed = capsys.readouterr().out
    assert (
        "proposal: give 'red' the negative 'blue', on which 100% of its false pixels are" in printed
    )
    assert out.read_text().startswith("# proposal of zs-seg tune: give 'red' the negative 'blue'")
    assert read_vocabulary_file(out).names == ("red",)
