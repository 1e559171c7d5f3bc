# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Scores of label images: confusion matrix, IoU, precision, recall, boundary IoU and calibration of confidence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.evaluation.truth import IGNORED

BINS = 10
"""Of confidence, in the reliability table."""
CONFUSED_SHARE = 0.2
"""A class is reported as confused with another one from this share of its pixels on."""
_BOUNDARY = 0.02
"""Width of a boundary as a share of the image's diagonal (Cheng et al. 2021, "Boundary IoU", their default)."""


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class over all frames, 0 to 1; NaN where the class has no pixels to judge.

    pixels: in the ground truth. predicted: of the model, where it is judged. The most similar other class is the one
    that its pixels are most often labelled as: confused_with, None without any, for this share of its pixels.
    """

    name: str
    iou: float
    precision: float
    recall: float
    boundary_iou: float
    pixels: int
    predicted: int
    confused_with: str | None
    confused_share: float


@dataclass(frozen=True)
class ReliabilityBin:
    """The labelled pixels whose confidence lies in one tenth: how many, their mean confidence, the share right."""

    low: float
    pixels: int
    confidence: float
    right: float


class PixelScores:
    """Accumulates label images of `count` classes. Label images have n for the n-th class, from 1, and 0 for none."""

    def __init__(self, count: int) -> None:
        self.confusion = np.zeros((count + 1, count + 1), np.int64)
        """Rows: ground truth. Columns: labelled as. The first of each is none of the classes."""
        self._boundary = np.zeros((2, count + 1), np.int64)  # intersection, union
        self._bins = np.zeros((3, BINS))  # pixels, sum of confidence, right ones

    def add(
        self,
        truth: NDArray[np.uint16],
        label: NDArray[np.uint16],
        confidence: NDArray[np.uint8],
    ) -> NDArray[np.int64]:
        """Add one image; all are (H, W). Return its own confusion matrix."""
        judged = truth != IGNORED
        length = len(self.confusion)
        pairs = truth[judged].astype(np.int64) * length + label[judged]
        own = np.bincount(pairs, minlength=length * length).reshape(length, length)
        self.confusion += own
        self._add_boundaries(truth, label, np.flatnonzero(own.sum(0) + own.sum(1)))
        self._add_confidence(truth, label, confidence, judged)
        return own

    def _add_boundaries(
        self, truth: NDArray[np.uint16], label: NDArray[np.uint16], present: NDArray[np.int64]
    ) -> None:
        width = max(1, round(_BOUNDARY * math.hypot(*truth.shape)))
        judged = truth != IGNORED
        for number in present[present > 0]:
            expected = _boundary(truth == number, width)
            labelled = _boundary((label == number) & judged, width)
            self._boundary[0, number] += np.count_nonzero(expected & labelled)
            self._boundary[1, number] += np.count_nonzero(expected | labelled)

    def _add_confidence(
        self,
        truth: NDArray[np.uint16],
        label: NDArray[np.uint16],
        confidence: NDArray[np.uint8],
        judged: NDArray[np.bool_],
    ) -> None:
        labelled = judged & (label > 0)
        values = confidence[labelled] / 255
        bins = np.minimum((values * BINS).astype(np.int64), BINS - 1)
        right = (truth[labelled] == label[labelled]).astype(np.float64)
        for row, weights in enumerate((None, values, right)):
            self._bins[row] += np.bincount(bins, weights, minlength=BINS)

    # --- results ---

    def classes(self, names: tuple[str, ...]) -> tuple[ClassScores, ...]:
        """Return the scores of each class."""
        hits, expected, labelled = _hits(self.confusion)
        iou = ratio(hits, expected + labelled - hits)
        precision, recall = ratio(hits, labelled), ratio(hits, expected)
        boundary = ratio(self._boundary[0], self._boundary[1])
        scores = []
        for number, name in enumerate(names, 1):
            others = self.confusion[number].copy()
            others[[0, number]] = 0
            worst = int(others.argmax())
            share = float(ratio(others[worst], expected[number]))
            scores.append(
                ClassScores(
                    name,
                    float(iou[number]),
                    float(precision[number]),
                    float(recall[number]),
                    float(boundary[number]),
                    int(expected[number]),
                    int(labelled[number]),
                    names[worst - 1] if others[worst] else None,
                    0.0 if math.isnan(share) else share,
                )
            )
        return tuple(scores)

    @property
    def mean_iou(self) -> float:
        """The mean IoU over the classes with pixels in the ground truth; NaN without any."""
        return mean_iou(self.confusion)

    @property
    def frequency_weighted_iou(self) -> float:
        """The mean IoU weighted by the pixels of each class in the ground truth (Long et al. 2015); NaN without any."""
        hits, expected, labelled = _hits(self.confusion)
        present = np.flatnonzero(expected[1:]) + 1
        if not present.size:
            return math.nan
        iou = ratio(hits, expected + labelled - hits)[present]
        return float(np.average(iou, weights=expected[present]))

    @property
    def reliability(self) -> tuple[ReliabilityBin, ...]:
        """The tenths of confidence that have pixels."""
        return tuple(
            ReliabilityBin(i / BINS, int(pixels), float(total / pixels), float(right / pixels))
            for i, (pixels, total, right) in enumerate(self._bins.T.tolist())
            if pixels
        )

    @property
    def calibration_error(self) -> float:
        """The expected calibration error of labelled pixels (Guo et al. 2017), with ten bins; NaN without any."""
        pixels, total, right = self._bins
        return float(np.abs(total - right).sum() / pixels.sum()) if pixels.sum() else math.nan


def mean_iou(confusion: NDArray[np.int64]) -> float:
    """Return the mean IoU over the classes with pixels in the ground truth; NaN without any."""
    hits, expected, labelled = _hits(confusion)
    present = np.flatnonzero(expected[1:]) + 1
    if not present.size:
        return math.nan
    return float(ratio(hits, expected + labelled - hits)[present].mean())


def ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Divide element by element; NaN where the whole is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(whole > 0, part / whole, np.nan), np.float64)


def _hits(confusion: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Return for each class its pixels that are right, those in the ground truth, and those labelled so."""
    return np.diag(confusion), confusion.sum(1), confusion.sum(0)


def _boundary(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Return the pixels of a mask within `width` pixels of its outline; the image's border counts as outline."""
    padded = np.pad(mask, 1).view(np.uint8)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    return mask & ~inner.astype(np.bool_)
