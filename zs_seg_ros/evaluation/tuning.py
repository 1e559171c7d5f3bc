# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Chooses prompts and thresholds of classes from labelled frames, and estimates the gain on frames left out.

The counts behind a choice are histograms of confidence, so that every threshold is judged without running the model
again. Frames that follow each other are alike; a fold is therefore a run of neighbouring frames, not a random sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.evaluation.truth import IGNORED

LOWEST = 0.05
"""The threshold with which the model runs; thresholds below it are not judged."""
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""A coarse grid: with some tens of frames a finer one fits their noise."""
LEAST_FRAMES, LEAST_FRAMES_OF_CLASS = 10, 5
FOLDS = 5
_LEAST_GAIN = 0.005
"""In IoU: a smaller gain on the frames of a choice is taken for noise, and the class stays unchanged."""
_BINS = 256


@dataclass(frozen=True, eq=False)
class Counts:
    """What one run of the model gave in each of N frames, for each of K classes and each value of confidence.

    right, wrong: (N, K, 256) pixels labelled as the class, rightly and wrongly. expected: (N, K) pixels of the class in
    the ground truth. confusion: (N, T + 1, K + 1) of `frame_confusion` at the given thresholds; None where it is not
    counted.
    """

    right: NDArray[np.int64]
    wrong: NDArray[np.int64]
    expected: NDArray[np.int64]
    confusion: NDArray[np.int64] | None = None

    def iou(self, frames: NDArray[np.int64], number: int, threshold: float) -> float:
        """Return the IoU of a class (from 0) at a threshold over these frames; 0 where it occurs nowhere."""
        right, union = self.right_and_union(frames, number, threshold)
        return right / union if union else 0.0

    def right_and_union(
        self, frames: NDArray[np.int64], number: int, threshold: float
    ) -> tuple[int, int]:
        """Return the pixels of a class that are right, and those of it in the ground truth or in the labels."""
        first = int(np.ceil(round(threshold * 255, 6)))
        right = int(self.right[frames, number, first:].sum())
        expected = int(self.expected[frames, number].sum())
        return right, expected + int(self.wrong[frames, number, first:].sum())


@dataclass(frozen=True)
class Choice:
    """The prompts (an index of the candidates of a class; 0: as given) and the threshold of one class."""

    candidate: int
    threshold: float


@dataclass(frozen=True)
class TunedClass:
    """The choice for a class, with its IoU on frames that took no part in it, before and after.

    problem: why the class stays unchanged; empty where it changes.
    """

    name: str
    choice: Choice
    iou_before: float
    iou_after: float
    problem: str = ""


def frame_counts(
    truth: NDArray[np.uint16],
    label: NDArray[np.uint16],
    confidence: NDArray[np.uint8],
    classes: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Count one frame, all (H, W) with class numbers from 1: right and wrong (K, 256), expected (K,)."""
    judged = truth != IGNORED
    expected = np.bincount(truth[judged], minlength=classes + 1)[1 : classes + 1]
    labelled = judged & (label > 0)
    numbers, values = label[labelled].astype(np.int64) - 1, confidence[labelled]
    places, right = numbers * _BINS + values, truth[labelled] == label[labelled]
    shape, length = (classes, _BINS), classes * _BINS
    counts = (
        np.bincount(places[part], minlength=length).reshape(shape) for part in (right, ~right)
    )
    return (*counts, expected)  # type: ignore[return-value]


def tune(
    names: Sequence[str], given: Sequence[float], runs: Sequence[Sequence[Counts]]
) -> tuple[TunedClass, ...]:
    """Choose for each class.

    given: the threshold of each class now. runs: for each class the counts of its candidates; the first of each is the
    run with all prompts as given. Raises ValueError when the frames do not suffice for any class.
    """
    frames = len(runs[0][0].expected)
    if frames < LEAST_FRAMES:
        raise ValueError(f"{frames} frames do not suffice to choose anything")
    folds = np.array_split(np.arange(frames), FOLDS)
    return tuple(
        _tuned(name, number, given[number], runs[number], folds)
        for number, name in enumerate(names)
    )


def _tuned(
    name: str, number: int, given: float, runs: Sequence[Counts], folds: list[NDArray[np.int64]]
) -> TunedClass:
    everything = np.concatenate(folds)
    kept = Choice(0, given)
    present = int(np.count_nonzero(runs[0].expected[:, number]))
    before = runs[0].iou(everything, number, given)
    if present < LEAST_FRAMES_OF_CLASS:
        return TunedClass(name, kept, before, before, f"it occurs in {present} frames only")
    choices = [_best(number, given, runs, np.setdiff1d(everything, fold)) for fold in folds]
    after = _held_out(number, runs, folds, choices)
    chosen = _best(number, given, runs, everything)
    if chosen == kept:
        return TunedClass(name, kept, before, before, "it is best as given")
    if after < before + _LEAST_GAIN:
        return TunedClass(
            name, kept, before, before, "what helps in some frames does not help in those left out"
        )
    return TunedClass(name, chosen, before, after)


def _best(number: int, given: float, runs: Sequence[Counts], frames: NDArray[np.int64]) -> Choice:
    """Return the choice with the highest IoU in these frames; the given one unless another is clearly better."""
    best, best_iou = Choice(0, given), runs[0].iou(frames, number, given) + _LEAST_GAIN
    for candidate, counts in enumerate(runs):
        for threshold in THRESHOLDS:
            iou = counts.iou(frames, number, threshold)
            if iou > best_iou:
                best, best_iou = Choice(candidate, threshold), iou
    return best


def _held_out(
    number: int,
    runs: Sequence[Counts],
    folds: list[NDArray[np.int64]],
    choices: Sequence[Choice],
) -> float:
    """Return the IoU over all frames, each with the choice that was made without its fold."""
    right = union = 0
    for fold, choice in zip(folds, choices, strict=True):
        counts = runs[choice.candidate]
        of_fold = counts.right_and_union(fold, number, choice.threshold)
        right, union = right + of_fold[0], union + of_fold[1]
    return right / union if union else 0.0
