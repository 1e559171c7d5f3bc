# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The demo's judgement: it must notice whatever would make its figures worthless."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "demo"))

from images import (  # noqa: E402
    ENLARGE,
    MOVING_HZ,
    MOVING_S,
    Captions,
    OverlayFrame,
    write_animation,
)
from processes import DemoError  # noqa: E402
from robot import Received, VocabularyChange  # noqa: E402
from scoring import (  # noqa: E402
    PromptScore,
    Sorted,
    check_ids,
    check_overlap,
    mean_iou,
    prompt_scores,
    sort_by_vocabulary,
    timing,
)
from slow_model import GAP_PX, Moments, write_film  # noqa: E402

from zs_seg_ros.bags.bag import GroundTruthLabel  # noqa: E402

MS = 10**6
OLD, NEW = {"red duck": 1, "white mug": 2}, {"red duck": 1, "green star": 3}
CHANGE = VocabularyChange(called_ns=250 * MS, answered_ns=310 * MS, warnings=(), ids=NEW)
IN_FORCE_SINCE_NS = 300 * MS
TRUTH = (
    GroundTruthLabel(10, "red duck", held_out=True),
    GroundTruthLabel(11, "white mug", held_out=True),
    GroundTruthLabel(12, "green star", held_out=False),
)


def received(*rows_of_labels: tuple[int, ...], latency_ms: int = 60) -> Received:
    """One frame every 100 ms from 100 ms on, one row of pixels each; the camera sends two frames more."""
    answer = Received()
    for number, row in enumerate(rows_of_labels, start=1):
        answer.labels[number * 100 * MS] = np.array([row], np.uint16)
        answer.label_received_ns[number * 100 * MS] = (number * 100 + latency_ms) * MS
    return answer


def test_frames_are_sorted_by_the_vocabulary_that_they_must_carry() -> None:
    frames = sort_by_vocabulary(
        received((1,), (1,), (1,), (1,), (1,)), CHANGE, in_force_since_ns=IN_FORCE_SINCE_NS
    )
    assert frames == Sorted((100 * MS,), (200 * MS, 300 * MS), (400 * MS, 500 * MS))


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        (((1, 3), (1,), (1,), (3,)), "of no vocabulary"),  # a new id before the call
        (((1,), (2, 3), (1,), (3,)), "of no vocabulary"),  # a mixture while it changes
        (((1,), (2,), (3,), (2, 3)), "of no vocabulary"),  # an old id after the change
        (((1,), (2,), (3,), (1,)), "had no effect"),  # a new name is never found
    ],
)
def test_ids_of_a_wrong_vocabulary_are_noticed(
    labels: tuple[tuple[int, ...], ...], complaint: str
) -> None:
    answer = received(*labels)
    frames = sort_by_vocabulary(answer, CHANGE, IN_FORCE_SINCE_NS)
    with pytest.raises(DemoError, match=complaint):
        check_ids(answer, frames, OLD, NEW)


def test_ids_of_one_vocabulary_in_each_frame_are_fine() -> None:
    answer = received((1, 2), (2, 0), (1, 3), (3, 1))
    check_ids(answer, sort_by_vocabulary(answer, CHANGE, IN_FORCE_SINCE_NS), OLD, NEW)


def test_a_name_that_changes_its_id_is_noticed() -> None:
    answer = received((1,), (1,), (1,), (3,))
    frames = sort_by_vocabulary(answer, CHANGE, IN_FORCE_SINCE_NS)
    with pytest.raises(DemoError, match="'red duck' had the id 1 and has 4"):
        check_ids(answer, frames, OLD, {"red duck": 4, "green star": 3})


def test_overlap_counts_the_frames_in_which_a_phrase_was_looked_for() -> None:
    answer = received((1, 1, 2, 0), (0, 0, 0, 0), (0, 0, 0, 0), (1, 3, 3, 0))
    answer.truth = {
        100 * MS: np.array([[10, 0, 11, 12]], np.uint8),  # nobody looks for the star yet
        400 * MS: np.array([[10, 12, 12, 12]], np.uint8),
    }
    frames = sort_by_vocabulary(answer, CHANGE, IN_FORCE_SINCE_NS)
    scores = {score.name: score for score in prompt_scores(answer, frames, OLD, NEW, TRUTH)}
    assert {name: score.iou for name, score in scores.items()} == pytest.approx(
        {"red duck": 2 / 3, "white mug": 1.0, "green star": 2 / 3}
    )
    assert (scores["red duck"].before, scores["red duck"].after) == (True, True)
    assert (scores["green star"].before, scores["green star"].after) == (False, True)


def test_an_overlap_that_is_too_small_is_noticed_with_the_phrases() -> None:
    scores = [
        PromptScore("red duck", 1, True, True, True, intersection=9, union=10, true_pixels=9),
        PromptScore("white mug", 2, True, True, False, intersection=1, union=10, true_pixels=9),
    ]
    with pytest.raises(DemoError, match=r"red duck 0\.90, white mug 0\.10"):
        check_overlap(scores)
    check_overlap(scores[:1])
    assert mean_iou(scores) == pytest.approx(0.5)


def test_frames_that_the_node_left_out_are_counted_and_latency_is_to_the_receipt() -> None:
    answer = received((1,), (1,), (1,), latency_ms=60)
    answer.truth = {t * MS: np.zeros((1, 1), np.uint8) for t in (0, 100, 150, 200, 300, 400)}
    measured = timing(answer)
    assert (measured.camera_frames, measured.labelled_frames, measured.dropped_frames) == (4, 3, 1)
    assert measured.frame_rate_hz == pytest.approx(10)
    del answer.truth[200 * MS]  # ground truth can get lost as well
    assert timing(answer).camera_frames == 4
    assert (measured.latency_median_ms, measured.latency_p95_ms) == pytest.approx((60, 60))


def demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "demo" / "run_demo.py"), *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_model_that_is_not_there_ends_the_demo_with_one_sentence(tmp_path: Path) -> None:
    result = demo("--output", str(tmp_path), "--model", str(tmp_path / "no_model"))
    assert result.returncode == 1
    assert "The demo failed: " in result.stderr and "no_model" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_the_built_package_the_demo_says_how_to_run_it(tmp_path: Path) -> None:
    result = demo("--output", str(tmp_path), PATH="/usr/bin:/bin")
    assert result.returncode == 1
    assert "segmentation_node is not on PATH: run the demo with `make demo`" in result.stderr


@pytest.mark.parametrize(("change_s", "first_s"), [(12.0, 8.0), (1.0, 0.0), (99.0, 19.9)])
def test_the_moving_image_shows_the_seconds_around_the_change(
    tmp_path: Path, change_s: float, first_s: float
) -> None:
    """A line through each frame tells its time: ten to the second, for 24 seconds."""
    frames = [
        OverlayFrame(i / 10, np.zeros((48, 240, 3), np.uint8), i / 10 >= change_s)
        for i in range(240)
    ]
    for i, frame in enumerate(frames):
        frame.image[:, i] = 255
    write_animation(tmp_path / "demo.webp", frames, Captions("before", "change", "after"))
    with Image.open(tmp_path / "demo.webp") as moving:
        shown = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(moving)]
    times_s = [image[48].argmax() / ENLARGE / 10 for image in shown]
    length_s = min(MOVING_S, 23.9 - first_s)
    assert len(times_s) == pytest.approx(length_s * MOVING_HZ, abs=1)
    assert times_s[0] == pytest.approx(first_s, abs=0.2)
    assert times_s[-1] == pytest.approx(first_s + length_s, abs=0.2)


def test_the_film_has_the_masks_that_a_planner_has_a_frame_after_each_image(tmp_path: Path) -> None:
    image = np.full((24, 32, 3), 90, np.uint8)
    moments = Moments(images={10 * n: (float(n), image) for n in range(4)})
    left, right = np.zeros((2, 24, 32), np.uint8)
    left[:, :16], right[:, 16:] = 1, 1
    moments.labels["slow"] |= {0: (0.05, left), 20: (3.5, right)}
    moments.labels["carried"] |= {10 * n: (n + 0.02, right) for n in range(4)}
    assert moments.newest_label("slow", 0.0) is None
    assert moments.newest_label("slow", 3.1) is left
    assert moments.newest_label("slow", 3.5) is right
    write_film(tmp_path / "film.mp4", moments)
    with av.open(tmp_path / "film.mp4") as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 4
    assert frames[0].shape[1] == 2 * 32 * ENLARGE + GAP_PX
    coloured = np.ptp(frames[1][: 24 * ENLARGE].astype(int), axis=2).mean(axis=0) > 30
    assert coloured[4:28].all() and not coloured[36:64].any()
