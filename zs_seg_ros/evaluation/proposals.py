# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Proposals from the confusion of classes: which ones to merge, and what to contrast out by negatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.evaluation.truth import IGNORED
from zs_seg_ros.evaluation.tuning import FOLDS, LEAST_FRAMES_OF_CLASS
from zs_seg_ros.shown import quoted

_LEAST_SHARE = 0.2
"""Of the pixels of a class that another one has, or of its false pixels that one class of the ground truth has."""
_LEAST_GAIN = 0.02


@dataclass(frozen=True)
class Proposal:
    """A change that needs a person's decision. gain: in IoU, of the merged class over the mean of both, or at most.

    names: of two classes to merge, or of one that gets `negative`.
    """

    text: str
    gain: float
    names: tuple[str, ...] = ()
    negative: str = ""


def frame_confusion(
    truth: NDArray[np.uint16],
    label: NDArray[np.uint16],
    confidence: NDArray[np.uint8],
    limits: NDArray[np.float32],
    true_classes: int,
) -> NDArray[np.int64]:
    """Count the pixels of each class of the ground truth that each class has at its threshold: (T + 1, K + 1).

    truth: numbers of the ground truth's own classes, from 1. label: numbers of the vocabulary's; 0 is none of them.
    limits: (K,) in 0..1. Pixels that are not judged do not count.
    """
    least = np.concatenate(([0.0], np.ceil(np.round(limits * 255, 3))))
    kept = np.where(confidence >= least[label], label, 0)
    judged = truth != IGNORED
    columns = len(limits) + 1
    pairs = truth[judged].astype(np.int64) * columns + kept[judged]
    counts = np.bincount(pairs, minlength=(true_classes + 1) * columns)
    return counts.reshape(true_classes + 1, columns)


def proposals(
    names: Sequence[str], true_names: Sequence[str], confusion: NDArray[np.int64]
) -> tuple[Proposal, ...]:
    """Return what to change, the largest gain first.

    confusion: (N, T + 1, K + 1) of `frame_confusion`, of N frames. names: of the vocabulary's classes, each of which is
    in true_names.
    """
    rows = [true_names.index(name) + 1 for name in names]
    changes = [*_merges(names, rows, confusion), *_negatives(names, rows, true_names, confusion)]
    return tuple(sorted(changes, key=lambda proposal: (-proposal.gain, proposal.text)))


def _merges(
    names: Sequence[str], rows: Sequence[int], confusion: NDArray[np.int64]
) -> list[Proposal]:
    changes = []
    for first in range(len(names)):
        for second in range(first + 1, len(names)):
            if not _is_confused(rows, confusion, first, second):
                continue
            gains = [
                _gain_of_merge(rows, part.sum(axis=0), first, second)
                for part in np.array_split(confusion, FOLDS)
            ]
            gain = _gain_of_merge(rows, confusion.sum(axis=0), first, second)
            # A gain that some part of the frames does not have would not hold in others.
            if gain >= _LEAST_GAIN and min(gains) >= 0:
                changes.append(
                    Proposal(
                        f"merge {quoted(names[first])} and {quoted(names[second])} into one class: IoU {gain:+.3f} "
                        f"against the mean of both, at least {min(gains):+.3f} in each fifth of the frames",
                        gain,
                        (names[first], names[second]),
                    )
                )
    return changes


def _is_confused(
    rows: Sequence[int], confusion: NDArray[np.int64], first: int, second: int
) -> bool:
    total = confusion.sum(axis=0)
    for own, other in ((first, second), (second, first)):
        row = rows[own]
        present = np.count_nonzero(confusion[:, row].sum(axis=1))
        if present < LEAST_FRAMES_OF_CLASS:
            return False
        if total[row, other + 1] >= _LEAST_SHARE * total[row].sum():
            return True
    return False


def _gain_of_merge(rows: Sequence[int], total: NDArray[np.int64], first: int, second: int) -> float:
    both_rows, both_columns = [rows[first], rows[second]], [first + 1, second + 1]
    right = int(total[np.ix_(both_rows, both_columns)].sum())
    union = int(total[both_rows].sum() + total[:, both_columns].sum()) - right
    alone = [_iou(total, rows[k], k + 1) for k in (first, second)]
    return (right / union if union else 1.0) - float(np.mean(alone))


def _iou(total: NDArray[np.int64], row: int, column: int) -> float:
    right = int(total[row, column])
    union = int(total[row].sum() + total[:, column].sum()) - right
    return right / union if union else 1.0


def _negatives(
    names: Sequence[str],
    rows: Sequence[int],
    true_names: Sequence[str],
    confusion: NDArray[np.int64],
) -> list[Proposal]:
    """Propose classes of the ground truth that are not in the vocabulary: the others compete for pixels already."""
    changes = []
    total = confusion.sum(axis=0)
    outside = [row for row, name in enumerate(true_names, 1) if name not in names]
    for number, name in enumerate(names):
        own, column = rows[number], number + 1
        false = int(total[:, column].sum() - total[own, column])
        for row in outside:
            taken = int(total[row, column])
            frames = np.count_nonzero(confusion[:, row, column])
            if frames < LEAST_FRAMES_OF_CLASS or taken < _LEAST_SHARE * false:
                continue
            union = int(total[own].sum()) + false
            right = int(total[own, column])
            gain = right / (union - taken) - right / union
            if gain >= _LEAST_GAIN:
                text = (
                    f"give {quoted(name)} the negative {quoted(true_names[row - 1])}, on which {taken / false:.0%} of "
                    f"its false pixels are: IoU {gain:+.3f} at most"
                )
                changes.append(Proposal(text, gain, (name,), true_names[row - 1]))
    return changes
