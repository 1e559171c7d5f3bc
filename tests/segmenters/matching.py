# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Comparison of detections whose order may differ, since scores that are equal up to rounding have no fixed order."""

from __future__ import annotations

from torch import Tensor


def distance_to_nearest(rows: Tensor, others: Tensor) -> Tensor:
    """For each row (N, D) the largest difference in a column to its nearest among others (M, D): (N,)."""
    return (rows[:, None] - others[None]).abs().amax(dim=2).amin(dim=1)


def check_same_rows(rows: Tensor, expected: Tensor, most: float) -> None:
    """Assert that rows (N, D) are as many as expected, and each has a counterpart that differs by at most `most`."""
    assert len(rows) == len(expected)
    assert (distance_to_nearest(rows, expected) <= most).all()
    assert (distance_to_nearest(expected, rows) <= most).all()


def threshold_between(scores: Tensor) -> float:
    """The middle of the widest gap in the middle third of scores (N,): rounding moves none of them across it."""
    ordered = scores.sort().values[len(scores) // 3 : 2 * len(scores) // 3]
    widest = int(ordered.diff().argmax())
    return float(ordered[widest : widest + 2].mean())
