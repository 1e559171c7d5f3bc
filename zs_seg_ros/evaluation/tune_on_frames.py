# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Tunes a vocabulary on labelled frames from end to end: runs the model, chooses, and proposes changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from zs_seg_ros.errors import EvaluationError, FileError
from zs_seg_ros.evaluation.proposals import Proposal, proposals
from zs_seg_ros.evaluation.truth import Truth
from zs_seg_ros.evaluation.tune_runs import Candidate, Progress, Runs, candidates_of, is_cache
from zs_seg_ros.evaluation.tuning import LEAST_FRAMES, Counts, TunedClass, tune
from zs_seg_ros.files import remove_if_ours
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.shown import shown
from zs_seg_ros.vocabulary.vocabulary import Vocabulary


@dataclass(frozen=True)
class TuneTask:
    """What is tuned on which frames. truth_path: the ground truth's, for messages. cache: of the counts so far."""

    truth: Truth
    truth_path: Path
    vocabulary: Vocabulary
    threshold: float
    cache: Path


@dataclass(frozen=True)
class Tuning:
    """The result. prompts: the chosen ones of each class; empty where they stay. vocabulary: with all choices."""

    classes: tuple[TunedClass, ...]
    prompts: tuple[tuple[str, ...], ...]
    vocabulary: Vocabulary
    proposals: tuple[Proposal, ...]

    @property
    def mean_iou(self) -> tuple[float, float]:
        """The mean IoU now, and the one to expect."""
        before = float(np.mean([tuned.iou_before for tuned in self.classes]))
        return before, float(np.mean([tuned.iou_after for tuned in self.classes]))


def tune_on_frames(
    task: TuneTask,
    load: Callable[[], Segmenter[Any]],
    progress_of: Callable[[int], Progress],
    keep: Callable[[Tuning], None] = lambda tuning: None,
) -> Tuning:
    """Choose prompts and thresholds. load: returns the model. progress_of: of the number of vocabularies.

    keep: stores the result; only then are the counts removed, which an interruption leaves for the next time. Raises
    ZeroShotSegmentationError.
    """
    if len(task.truth) < LEAST_FRAMES:
        raise EvaluationError(
            f"{shown(str(task.truth_path), 300)} has {len(task.truth)} labelled frames, which do not suffice to choose "
            f"anything: label at least {LEAST_FRAMES}, better 50"
        )
    vocabulary = task.vocabulary
    candidates = list(candidates_of(vocabulary))
    if task.cache.exists() and not is_cache(task.cache):
        raise FileError(
            f"{shown(str(task.cache), 300)} is not a file of zs-seg tune: move it, or name another output"
        )
    segmenter = load()
    runs = Runs(segmenter, task.truth, task.cache, progress_of(1 + len(candidates)), task.threshold)
    base, *others = runs.counts([vocabulary, *(c.vocabulary for c in candidates)])
    counts = [[base] for _ in vocabulary.classes]
    for candidate, of_candidate in zip(candidates, others, strict=True):
        counts[candidate.number].append(of_candidate)
    segmenter.close()
    given = vocabulary.thresholds(task.threshold).astype(np.float64).round(6).tolist()
    tuned = tune(vocabulary.names, given, counts)
    prompts = tuple(_prompts(each, number, candidates) for number, each in enumerate(tuned))
    tuning = Tuning(tuned, prompts, _changed(vocabulary, tuned, prompts), _proposals(base, task))
    keep(tuning)
    remove_if_ours(task.cache, is_cache)
    return tuning


def _proposals(base: Counts, task: TuneTask) -> tuple[Proposal, ...]:
    if base.confusion is None:
        return ()
    return proposals(task.vocabulary.names, [c.name for c in task.truth.classes], base.confusion)


def _prompts(tuned: TunedClass, number: int, candidates: Sequence[Candidate]) -> tuple[str, ...]:
    """Return the chosen prompts; empty: as given."""
    own = [candidate for candidate in candidates if candidate.number == number]
    return own[tuned.choice.candidate - 1].prompts if tuned.choice.candidate else ()


def _changed(
    vocabulary: Vocabulary, tuned: Sequence[TunedClass], prompts: Sequence[tuple[str, ...]]
) -> Vocabulary:
    classes = []
    for target, choice, chosen in zip(vocabulary.classes, tuned, prompts, strict=True):
        threshold = target.threshold if choice.problem else choice.choice.threshold
        classes.append(replace(target, prompts=chosen or target.prompts, threshold=threshold))
    return Vocabulary().changed_to(classes)
