# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The measurements of `zs-seg bench`: time of each stage, peak memory and agreement of a model's variants."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from zs_seg_ros.cli.peak_memory import peak_memory_mb
from zs_seg_ros.errors import ZeroShotSegmentationError
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.shared.stages import stage_times, wait_for_gpu
from zs_seg_ros.testing.reference_steps import Reference
from zs_seg_ros.types import Batch, RgbImage
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

STAGES = ("prepare", "encode", "decode", "finish")
COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "white", "black")
OBJECTS = ("mug", "duck", "ball", "brick", "bear", "cube", "shoe", "lamp")
CHANGED_CLASSES = _OBJECTS_DETECTED = 10
PROMPTS = tuple(f"{colour} {kind}" for kind in OBJECTS for colour in COLOURS)
"""Class names: their number matters for the cost, their meaning does not."""
NEW = "shiny"


@dataclass(frozen=True)
class Variant:
    """A loaded model, and the name of the input size that it was loaded with."""

    segmenter: Segmenter[Any]
    input_size: str


@dataclass(frozen=True)
class Row:
    """Medians for one number of classes, in ms; peak memory above what was in use before, in MB.

    processor_ms: processor time of all threads of this process, which other programs hardly change.
    reference_ms, reference_memory_mb: None without a reference. same_labels: the share of pixels that have the label of
    the first variant; None for that one.
    """

    classes: int
    stage_ms: dict[str, float]
    total_ms: float
    memory_mb: float
    reference_ms: float | None = None
    reference_memory_mb: float | None = None
    input_size: str = "own"
    precision: str = ""
    engine: str = ""
    same_labels: float | None = None
    processor_ms: float = 0.0

    @property
    def times_faster(self) -> float | None:
        """The duration of the reference divided by that of this package; None without a reference."""
        return None if self.reference_ms is None else self.reference_ms / self.total_ms


def threshold_of_ten_objects(
    segmenter: Segmenter[Any], image: RgbImage, counts: Sequence[int] = (8,)
) -> float:
    """Return the threshold at which about ten instances are detected; 0.5 for a model without instances.

    counts: the numbers of classes that are measured. The instances are those of eight classes or, where fewer are
    measured, of these: others would not be labelled, and labels of nothing are the same in every precision.
    """
    names = _names(segmenter, min(8, max(counts)))
    vocabulary = Vocabulary().changed_to(TargetClass(name) for name in names)
    batch = Batch((image,), vocabulary.thresholds(1e-6))
    [segmentation] = segmenter.segment(batch, segmenter.encode(vocabulary))
    scores = sorted((instance.score for instance in segmentation.instances or ()), reverse=True)
    return scores[min(_OBJECTS_DETECTED, len(scores)) - 1] if scores else 0.5


def _names(segmenter: Segmenter[Any], count: int) -> Sequence[str]:
    names = segmenter.only_names or PROMPTS
    if count > len(names):
        raise ZeroShotSegmentationError(f"{count} classes are too many; give at most {len(names)}")
    return names[:count]


def measure(
    variants: Sequence[Variant],
    reference: Reference | None,
    image: RgbImage,
    counts: Sequence[int],
    repeats: int,
    threshold: float,
) -> list[Row]:
    """Measure all variants, and the first next to the reference, with each number of classes.

    All of them alternate, so that load on the machine affects all alike.
    """
    device = variants[0].segmenter.device
    runs, references = [], []
    with tqdm(
        total=len(counts) * (repeats + 1), desc="measuring", disable=None, leave=False
    ) as bar:
        for count in counts:
            names = _names(variants[0].segmenter, count)
            runs.append([_Run(variant, image, names, threshold) for variant in variants])
            if reference:
                references.append(_ReferenceRun(reference, image, names, threshold, device))
            bar.update()
        for _ in range(repeats):
            for number, variant_runs in enumerate(runs):
                for run in variant_runs:
                    run.repeat()
                if reference:
                    references[number].repeat()
                bar.update()
    rows = []
    for number, (first, *others) in enumerate(runs):
        rows.append(first.row(references[number] if references else None))
        rows += [run.row(same_labels_as=first) for run in others]
    return rows


class _ReferenceRun:
    """The measurement of transformers' pipeline with one vocabulary."""

    def __init__(
        self,
        reference: Reference,
        image: RgbImage,
        names: Sequence[str],
        threshold: float,
        device: str,
    ) -> None:
        """Segment the image once, which also warms up."""
        # Sorted, as this package's detectors do it: where the prompts are joined to one text, scores depend on
        # their order, and with them the number of boxes to segment.
        self._refer = partial(reference, image, sorted(names), threshold)
        self.memory_mb = peak_memory_mb(self._refer, device)
        self._totals: list[float] = []

    def repeat(self) -> None:
        """Segment the image once more and measure it."""
        self._totals.append(_milliseconds(self._refer))

    @property
    def ms(self) -> float:
        """The median of the measured times."""
        return statistics.median(self._totals)


class _Run:
    """The measurement of one variant with one vocabulary."""

    def __init__(
        self, variant: Variant, image: RgbImage, names: Sequence[str], threshold: float
    ) -> None:
        """Encode the vocabulary and segment the image once, which also warms up."""
        self._variant, self._segmenter = variant, variant.segmenter
        vocabulary = Vocabulary().changed_to(TargetClass(name) for name in names)
        self._encoded = self._segmenter.encode(vocabulary)
        self._batch = Batch((image,), vocabulary.thresholds(threshold))
        self._label: NDArray[Any] = np.zeros(0)
        self._memory_mb = peak_memory_mb(self._segment, self._segmenter.device)
        self._stages: list[dict[str, float]] = []
        self._totals: list[float] = []
        self._processor: list[float] = []

    def _segment(self) -> None:
        self._label = self._segmenter.segment(self._batch, self._encoded)[0].label

    def repeat(self) -> None:
        """Segment the image once more and measure it."""
        start = time.process_time()
        with stage_times() as times:
            self._totals.append(_milliseconds(self._segment))
        self._processor.append((time.process_time() - start) * 1000)
        self._stages.append(times)

    def row(
        self,
        reference: _ReferenceRun | None = None,
        same_labels_as: _Run | None = None,
    ) -> Row:
        return Row(
            len(self._encoded.vocabulary.classes),
            {s: statistics.median(t.get(s, 0.0) for t in self._stages) for s in STAGES},
            statistics.median(self._totals),
            self._memory_mb,
            reference.ms if reference else None,
            reference.memory_mb if reference else None,
            self._variant.input_size,
            self._segmenter.precision,
            self._segmenter.engine.partition(" ")[0],
            None
            if same_labels_as is None
            else float((self._label == same_labels_as._label).mean()),
            statistics.median(self._processor),
        )


def measure_change(segmenter: Segmenter[Any]) -> tuple[float, float]:
    """Return the time in ms until a new vocabulary is in force, its trial image included: at first, and repeated."""
    names = segmenter.only_names or tuple(f"{NEW} {prompt}" for prompt in PROMPTS)
    classes = [TargetClass(name) for name in names[:CHANGED_CLASSES]]
    model = LiveModel(now_ns=time.time_ns)
    model.segmenter = segmenter

    def change() -> object:
        return model.change_vocabulary(classes)

    return _milliseconds(change), _milliseconds(change)


def _milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    wait_for_gpu()
    return (time.perf_counter() - start) * 1000
