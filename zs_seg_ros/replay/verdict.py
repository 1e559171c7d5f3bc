# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Tolerances of a replay, and the verdict: what was measured, and whether it is within them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tolerances:
    """Differences that still count as the same result.

    iou: least IoU of a class over all frames, 0..1. match_iou: least IoU of two masks of one object. missed,
    new: share of the golden objects. switches: share of the matched objects. position_m: for 95 % of the matched
    objects. dropped: share of the frames. exact: every pixel, score, mask, position and identity must be equal.
    """

    iou: float = 0.995
    match_iou: float = 0.5
    missed: float = 0.01
    new: float = 0.01
    switches: float = 0.01
    position_m: float = 0.02
    dropped: float = 0.0
    exact: bool = False


@dataclass(frozen=True)
class ClassVerdict:
    """One class over all frames. golden, now: pixels; matched, missed, new: objects.

    limit: the least IoU. worst_frame: the title of the frame where most pixels differ; empty where none do.
    """

    name: str
    passed: bool
    iou: float
    golden: int
    now: int
    matched: int
    missed: int
    new: int
    note: str = ""
    limit: float = 0.0
    worst_frame: str = ""


@dataclass(frozen=True)
class Check:
    """A measurement over all classes; value and limit are texts for people.

    worst_frame: the title of the frame that differs most in it; empty where none does.
    """

    name: str
    passed: bool
    value: str
    limit: str
    worst_frame: str = ""


@dataclass(frozen=True)
class Verdict:
    """The result of a comparison. frames: compared; differing: those with a difference beyond a tolerance."""

    frames: int
    differing: int
    classes: tuple[ClassVerdict, ...]
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every class and every check is within its tolerance."""
        return all(c.passed for c in self.classes) and all(c.passed for c in self.checks)

    @property
    def worst_classes(self) -> tuple[str, ...]:
        """The names of the classes outside their tolerance, the lowest IoU first."""
        failed = [c for c in self.classes if not c.passed]
        return tuple(c.name for c in sorted(failed, key=lambda c: c.iou))

    @property
    def mean_iou(self) -> float:
        """The mean over the classes; 1 without classes."""
        return float(np.mean([c.iou for c in self.classes])) if self.classes else 1.0
