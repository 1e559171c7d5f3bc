# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The scores are those of their definitions, computed here pixel by pixel or by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from zs_seg_ros.evaluation.object_scores import ObjectScores
from zs_seg_ros.evaluation.pixel_scores import PixelScores
from zs_seg_ros.evaluation.truth import IGNORED, TruthFrame, TruthObject
from zs_seg_ros.types import Box, DetectedObject

NAMES = ("a", "b", "c")
LABELS = arrays.arrays(np.uint16, (5, 7), elements=st.sampled_from([0, 1, 2, 3]))
TRUTHS = arrays.arrays(np.uint16, (5, 7), elements=st.sampled_from([0, 1, 2, 3, IGNORED]))
CONFIDENCES = arrays.arrays(np.uint8, (5, 7))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TRUTHS, LABELS, CONFIDENCES), min_size=1, max_size=3))
def test_scores_of_label_images(images: list[tuple[np.ndarray, ...]]) -> None:  # type: ignore[type-arg]
    scores = PixelScores(3)
    for image in images:
        scores.add(*image)
    pixels = [
        (int(t), int(p), c / 255)
        for truth, label, confidence in images
        for t, p, c in zip(truth.flat, label.flat, confidence.flat, strict=True)
        if t != IGNORED
    ]
    ious, weights = [], []
    for number, result in enumerate(scores.classes(NAMES), 1):
        hits = sum(t == p == number for t, p, _ in pixels)
        expected = sum(t == number for t, _, _ in pixels)
        found = sum(p == number for _, p, _ in pixels)
        assert (result.pixels, result.predicted) == (expected, found)
        for value, part, whole in (
            (result.iou, hits, expected + found - hits),
            (result.recall, hits, expected),
            (result.precision, hits, found),
        ):
            assert value == pytest.approx(part / whole) if whole else math.isnan(value)
        if expected:
            ious.append(result.iou)
            weights.append(expected)
    if ious:
        assert scores.mean_iou == pytest.approx(sum(ious) / len(ious))
        weighted = sum(i * w for i, w in zip(ious, weights, strict=True)) / sum(weights)
        assert scores.frequency_weighted_iou == pytest.approx(weighted)
    else:
        assert math.isnan(scores.mean_iou)
    labelled = [(min(int(c * 10), 9), c, t == p) for t, p, c in pixels if p]
    error = 0.0
    for tenth in range(10):
        inside = [(c, right) for b, c, right in labelled if b == tenth]
        error += abs(sum(c for c, _ in inside) - sum(right for _, right in inside))
    if labelled:
        assert scores.calibration_error == pytest.approx(error / len(labelled))


def test_the_boundary_of_a_shifted_square() -> None:
    truth, label = np.zeros((2, 100, 100), np.uint16)
    truth[20:60, 20:60] = 1
    label[20:60, 21:61] = 1
    scores = PixelScores(1)
    scores.add(truth, label, np.full(truth.shape, 255, np.uint8))
    [result] = scores.classes(("a",))
    width = round(0.02 * math.hypot(100, 100))  # 3 pixels
    ring = 40 * 40 - (40 - 2 * width) ** 2
    # Of two rings one pixel apart, the rows of the upper and lower side coincide but for one column, and the upright
    # sides but for one column each.
    common = 2 * width * 39 + 2 * (width - 1) * (40 - 2 * width)
    assert result.boundary_iou == pytest.approx(common / (2 * ring - common))
    assert result.iou == pytest.approx(39 / 41)


def test_the_class_that_pixels_are_taken_for() -> None:
    truth = np.full((10, 10), 1, np.uint16)
    label = np.full((10, 10), 1, np.uint16)
    label[:3], label[3] = 2, 3
    scores = PixelScores(3)
    scores.add(truth, label, np.full((10, 10), 255, np.uint8))
    result = scores.classes(NAMES)[0]
    assert (result.confused_with, result.confused_share) == ("b", 0.3)


# --- objects ---


def square(top: int, left: int, side: int = 10) -> DetectedObject:
    return DetectedObject(1, 0.9, Box(left, top, side, side), np.ones((side, side), np.bool_))


def frame(*objects: tuple[int, int, int], ignored: slice | None = None) -> TruthFrame:
    """Return a 40x40 frame with a 10x10 object (number, top, left) each."""
    label = np.zeros((40, 40), np.uint16)
    known = []
    for number, top, left in objects:
        mask = np.zeros((40, 40), np.bool_)
        mask[top : top + 10, left : left + 10] = True
        label[mask] = number
        known.append(TruthObject(number, mask))
    if ignored is not None:
        label[ignored] = IGNORED
    return TruthFrame("frame", np.zeros((40, 40, 3), np.uint8), label, tuple(known))


def test_perfect_objects_have_full_scores() -> None:
    scores = ObjectScores(2)
    truth = frame((1, 2, 2), (2, 20, 20))
    scores.add(truth, [(1, square(2, 2)), (2, square(20, 20))], (40, 40))
    results = scores.results()
    assert results.average_precision == pytest.approx(1)
    assert results.panoptic_quality == pytest.approx(1)


def test_panoptic_quality_of_a_hit_a_miss_and_a_false_object() -> None:
    scores = ObjectScores(1)
    found = [(1, square(2, 3)), (1, square(2, 25))]
    scores.add(frame((1, 2, 2), (1, 20, 20)), found, (40, 40))
    iou = 90 / 110  # one column of ten differs
    results = scores.results()
    assert results.panoptic_quality == pytest.approx(iou / (1 + 0.5 + 0.5))
    assert results.classes[0][1] == results.panoptic_quality


def test_a_detection_where_nothing_is_judged_is_not_false() -> None:
    scores = ObjectScores(1)
    found = [(1, square(2, 2)), (1, square(25, 2))]
    scores.add(frame((1, 2, 2), ignored=slice(22, 40)), found, (40, 40))
    assert scores.results().panoptic_quality == pytest.approx(1)


def test_average_precision_falls_with_the_limit_of_iou() -> None:
    scores = ObjectScores(1)
    scores.add(frame((1, 2, 2)), [(1, square(2, 3))], (40, 40))  # IoU 0.818
    results = scores.results()
    assert results.average_precision_50 == pytest.approx(1)
    assert results.average_precision == pytest.approx(7 / 10)  # 0.50 to 0.80 of 0.50 to 0.95


def test_objects_that_are_all_missed_score_0_and_absent_classes_nothing() -> None:
    scores = ObjectScores(2)
    scores.add(frame((1, 2, 2)), [], (40, 40))
    results = scores.results()
    assert results.classes[0] == (0.0, 0.0)
    assert all(math.isnan(value) for value in results.classes[1])


def test_a_false_detection_before_the_right_one_halves_the_precision() -> None:
    scores = ObjectScores(1)
    wrong = DetectedObject(1, 0.95, Box(25, 25, 10, 10), np.ones((10, 10), np.bool_))
    scores.add(frame((1, 2, 2)), [(1, wrong), (1, square(2, 2))], (40, 40))
    assert scores.results().average_precision == pytest.approx(0.5)
