# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Scores of a model on scenes: overlaps of prompts, and the areas of absent prompts."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.names import ALL_PAIRS, HELD_OUT_PAIRS, IGNORE, Pair
from zs_seg_ros.files import write_output
from zs_seg_ros.perception.pipeline import DEFAULT_THRESHOLD
from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

ABSENT_PROMPTS_PER_IMAGE = 8
CARD_START, CARD_END = "<!-- figures: start -->", "<!-- figures: end -->"


@dataclass
class Overlap:
    """Intersection and union, in pixels, of one prompt over all images."""

    intersection: int = 0
    union: int = 0

    def add(self, detected: NDArray[np.bool_], truth: NDArray[np.bool_]) -> None:
        self.intersection += int((detected & truth).sum())
        self.union += int((detected | truth).sum())

    @property
    def iou(self) -> float:
        return self.intersection / self.union


@dataclass
class Scores:
    """Sums over all images: overlaps by pair, and the areas of absent prompts."""

    alone: dict[Pair, Overlap] = field(default_factory=lambda: defaultdict(Overlap))
    together: dict[Pair, Overlap] = field(default_factory=lambda: defaultdict(Overlap))
    absent_area: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Return every figure but the time. mIoU in 0..1, areas in percent of the image."""

        def mean(overlaps: dict[Pair, Overlap], held_out: bool) -> float:
            chosen = [o.iou for p, o in overlaps.items() if (p in HELD_OUT_PAIRS) == held_out]
            return statistics.mean(chosen)

        return {
            "miou_seen": mean(self.alone, held_out=False),
            "miou_unseen": mean(self.alone, held_out=True),
            "miou_seen_together": mean(self.together, held_out=False),
            "miou_unseen_together": mean(self.together, held_out=True),
            "absent_area_percent": 100 * statistics.mean(self.absent_area),
        }


class Evaluation:
    """Scores one segmenter on prompts, alone and together, with the node's calls."""

    def __init__(self, segmenter: Segmenter[Any], seed: int) -> None:
        self.segmenter = segmenter
        self.scores = Scores()
        self._encoded: dict[Pair, EncodedVocabulary[Any]] = {}
        self._rng = np.random.default_rng([seed, 1])

    def label(self, image: NDArray[np.uint8], encoded: EncodedVocabulary[Any]) -> NDArray[Any]:
        thresholds = encoded.vocabulary.thresholds(DEFAULT_THRESHOLD)
        return self.segmenter.segment(Batch((image,), thresholds), encoded)[0].label

    def encode(self, pairs: list[Pair]) -> EncodedVocabulary[Any]:
        classes = [TargetClass(" ".join(pair)) for pair in pairs]
        return self.segmenter.encode(Vocabulary().changed_to(classes))

    def mask_of(self, image: NDArray[np.uint8], pair: Pair) -> NDArray[np.bool_]:
        if pair not in self._encoded:
            self._encoded[pair] = self.encode([pair])
        return self.label(image, self._encoded[pair]) > 0

    def add(self, image: NDArray[np.uint8], pairs: NDArray[np.uint8]) -> None:
        judged = pairs != IGNORE
        present = [ALL_PAIRS[i - 1] for i in np.unique(pairs[judged]) if i > 0]
        if not present:
            return
        truth = {pair: pairs == ALL_PAIRS.index(pair) + 1 for pair in present}
        for pair in present:
            self.scores.alone[pair].add(self.mask_of(image, pair) & judged, truth[pair])
        label = self.label(image, self.encode(present))
        for number, pair in enumerate(present, start=1):
            self.scores.together[pair].add((label == number) & judged, truth[pair])
        for pair in self.absent(present):
            self.scores.absent_area.append(float((self.mask_of(image, pair) & judged).mean()))

    def absent(self, present: list[Pair]) -> list[Pair]:
        """Return absent pairs; half of them share their kind or colour with a present object."""
        absent = [pair for pair in ALL_PAIRS if pair not in present]
        near = [p for p in absent if any(p[0] == q[0] or p[1] == q[1] for q in present)]
        half = ABSENT_PROMPTS_PER_IMAGE // 2
        return [
            pairs[int(i)]
            for pairs in (near, absent)
            for i in self._rng.choice(len(pairs), half, replace=False)
        ]

    def milliseconds(self, image: NDArray[np.uint8], repeats: int = 30) -> float:
        """Return the median time of one image with eight prompts."""
        encoded = self.encode(list(ALL_PAIRS[:8]))
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            self.label(image, encoded)
            times.append((time.perf_counter() - start) * 1000)
        return statistics.median(times)


def update_card(card: Path, text: str, marks: tuple[str, str] = (CARD_START, CARD_END)) -> None:
    """Replace the text between the two marks of a model card."""
    start, end = marks
    before, rest = card.read_text().split(start)
    after = rest.split(end)[1]
    write_output(card, f"{before}{start}\n{text}\n{end}{after}".encode())
