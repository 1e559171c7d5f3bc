# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Runs models over ground truth and keeps their scores and worst images."""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import EvaluationError
from zs_seg_ros.evaluation.containment import ConfusedImages, share_inside
from zs_seg_ros.evaluation.object_scores import ObjectResults, ObjectScores
from zs_seg_ros.evaluation.pixel_scores import (
    CONFUSED_SHARE,
    ClassScores,
    PixelScores,
    ReliabilityBin,
    mean_iou,
)
from zs_seg_ros.evaluation.truth import Truth, TruthFrame, TruthObject, numbers_of, numbers_of_ids
from zs_seg_ros.perception.masks import extract_objects
from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.segmenters.loaded_model import LoadedModel
from zs_seg_ros.segmenters.recovery import recovering
from zs_seg_ros.types import Batch, RgbImage, size_of


@dataclass(frozen=True, eq=False)
class WorstImage:
    """One of the images with the lowest mean IoU: its ground truth and what the model labelled, as class numbers."""

    name: str
    mean_iou: float
    image: RgbImage
    truth: NDArray[np.uint16]
    label: NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The scores of one model. Shares are 0 to 1, NaN where nothing is judged.

    confusion: rows of ground truth, columns of labels; the first is none of the classes. objects: None where the ground
    truth does not separate objects. latency_ms: of each image. worst: the lowest mean IoU first. inside: for the name
    of a class that is often labelled as another, the share of its area, segmented alone, inside that of the other.
    """

    model: str
    device: str
    precision: str
    images: int
    mean_iou: float
    frequency_weighted_iou: float
    classes: tuple[ClassScores, ...]
    confusion: NDArray[np.int64]
    reliability: tuple[ReliabilityBin, ...]
    calibration_error: float
    objects: ObjectResults | None
    latency_ms: tuple[float, ...]
    worst: tuple[WorstImage, ...] = ()
    inside: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


class ModelUnderTest:
    """A loaded model with its encoded vocabulary, and what is accumulated for it."""

    def __init__(
        self, loaded: LoadedModel, threshold: float, truth: Truth, worst_kept: int = 0
    ) -> None:
        """Prepare for the frames of a ground truth. Raises EvaluationError where a class has none.

        worst_kept: how many images with the lowest mean IoU are kept.
        """
        self._segmenter, self._encoded = loaded.segmenter, loaded.encoded
        vocabulary = self._encoded.vocabulary
        self._threshold = threshold
        self._limits = vocabulary.thresholds(threshold)
        self._confused = ConfusedImages()
        self._true_numbers = numbers_of(vocabulary.names, truth)
        self._numbers = numbers_of_ids(vocabulary)
        self._pixels = PixelScores(len(vocabulary.ids))
        self._objects = ObjectScores(len(vocabulary.ids)) if truth.separates_objects else None
        self._latency_ms: list[float] = []
        self._worst_kept = worst_kept
        self._worst: list[tuple[float, int, WorstImage]] = []
        self._order = itertools.count()

    def add(self, frame: TruthFrame) -> None:
        """Segment a frame and compare."""
        batch = Batch((frame.image,), self._limits)
        began = time.perf_counter()
        with recovering(self._segmenter):
            [segmentation] = self._segmenter.segment(batch, self._encoded)
        self._latency_ms.append(1000 * (time.perf_counter() - began))
        truth, label = self._true_numbers[frame.label], self._numbers[segmentation.label]
        own = self._pixels.add(truth, label, segmentation.confidence)
        self._confused.add(frame.image, own)
        if self._objects is not None:
            objects = extract_objects(segmentation, Settings.min_area, Settings.max_objects)
            numbered = [(int(self._numbers[o.class_id]), o) for o in objects]
            self._objects.add(self._known(frame, truth), numbered, size_of(frame.image))
        self._keep(WorstImage(frame.name, mean_iou(own), frame.image, truth, label))

    def _known(self, frame: TruthFrame, label: NDArray[np.uint16]) -> TruthFrame:
        """Return the frame with the classes of the vocabulary alone, numbered as there."""
        renumbered = [
            TruthObject(int(self._true_numbers[o.number]), o.mask, o.crowd)
            for o in frame.objects or ()
            if self._true_numbers[o.number]
        ]
        return TruthFrame(frame.name, frame.image, label, tuple(renumbered))

    def _keep(self, image: WorstImage) -> None:
        if math.isnan(image.mean_iou) or not self._worst_kept:
            return
        heapq.heappush(self._worst, (-image.mean_iou, next(self._order), image))
        if len(self._worst) > self._worst_kept:
            heapq.heappop(self._worst)  # the best of them

    def evaluation(self) -> Evaluation:
        """Return the scores of all frames. Raises EvaluationError without any."""
        if not self._latency_ms:
            raise EvaluationError(
                "the ground truth has no image to compare with: check that images and label images belong together"
            )
        classes = self._pixels.classes(self._encoded.vocabulary.names)
        return Evaluation(
            self._segmenter.model,
            self._segmenter.device,
            self._segmenter.precision,
            len(self._latency_ms),
            self._pixels.mean_iou,
            self._pixels.frequency_weighted_iou,
            classes,
            self._pixels.confusion,
            self._pixels.reliability,
            self._pixels.calibration_error,
            None if self._objects is None else self._objects.results(),
            tuple(self._latency_ms),
            tuple(image for _, _, image in sorted(self._worst, key=lambda w: (-w[0], w[1]))),
            self._inside(classes),
        )

    def _inside(self, classes: Sequence[ClassScores]) -> dict[str, float]:
        shares = {}
        for number, scores in enumerate(classes, 1):
            image, other = self._confused.get(number), scores.confused_with
            if image is not None and other is not None and scores.confused_share >= CONFUSED_SHARE:
                shares[scores.name] = share_inside(
                    self._segmenter,
                    self._encoded.vocabulary,
                    self._threshold,
                    image,
                    (scores.name, other),
                )
        return shares


def evaluate(
    truth: Truth,
    models: Sequence[ModelUnderTest],
    limit: int = 0,
    progress: Callable[[Any], Any] = lambda frames: frames,
) -> tuple[Evaluation, ...]:
    """Compare each model with the same frames, and return their scores in order.

    limit: the number of frames, evenly spread, that are used; 0 for all. progress: wraps the iterator of frames.
    Raises EvaluationError.
    """
    step = max(1, math.ceil(len(truth) / limit)) if limit else 1
    for frame in progress(truth.frames(step)):
        for model in models:
            model.add(frame)
    return tuple(model.evaluation() for model in models)
