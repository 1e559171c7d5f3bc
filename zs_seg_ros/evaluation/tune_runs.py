# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Runs the model over labelled frames once for each candidate, and keeps the counts on disk to resume."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from zs_seg_ros.errors import FileError
from zs_seg_ros.evaluation.proposals import frame_confusion
from zs_seg_ros.evaluation.truth import Truth, TruthFrame, numbers_of, numbers_of_ids
from zs_seg_ros.evaluation.tuning import LOWEST, Counts, frame_counts
from zs_seg_ros.files import open_regular_file, write_atomically
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.recovery import recovering
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

_ARRAYS = ("right", "wrong", "expected", "confusion")
Progress = Callable[[Iterable[TruthFrame], str], Iterable[TruthFrame]]


@dataclass(frozen=True)
class Candidate:
    """One run: the whole vocabulary, with one class reduced to one of its prompts. number: of that class, from 0."""

    number: int
    prompts: tuple[str, ...]
    vocabulary: Vocabulary


def candidates_of(vocabulary: Vocabulary) -> Iterator[Candidate]:
    """Yield a candidate for each prompt of each class that has several and no exemplars."""
    for number, target in enumerate(vocabulary.classes):
        if len(target.prompts) < 2:
            continue
        for prompt in target.prompts:
            classes: list[TargetClass] = list(vocabulary.classes)
            classes[number] = replace(target, prompts=(prompt,))
            yield Candidate(number, (prompt,), Vocabulary().changed_to(classes))


class Runs:
    """Runs a segmenter over ground truth. Finished runs are read from `cache`, which belongs to one model and truth."""

    def __init__(
        self,
        segmenter: Segmenter[Any],
        truth: Truth,
        cache: Path,
        progress: Progress,
        threshold: float = 0.5,
    ) -> None:
        """threshold: of classes without one of their own, for the confusion of classes."""
        self._threshold = threshold
        self._segmenter, self._truth, self._cache = segmenter, truth, cache
        self._progress = progress
        self._finished = _read(cache)

    def counts(self, vocabulary: Vocabulary, what: str) -> Counts:
        """Return the counts of a vocabulary over all frames. Raises ZeroShotSegmentationError."""
        key = self._key(vocabulary)
        if key in self._finished:
            return self._finished[key]
        with recovering(self._segmenter):
            encoded = self._segmenter.encode(vocabulary)
        true_numbers = numbers_of(vocabulary.names, self._truth)
        numbers = numbers_of_ids(vocabulary)
        limits = np.full(len(vocabulary.ids), LOWEST, np.float32)
        given = vocabulary.thresholds(self._threshold)
        true_classes = len(self._truth.classes)
        parts = []
        for frame in self._progress(self._truth.frames(), what):
            with recovering(self._segmenter):
                [result] = self._segmenter.segment(Batch((frame.image,), limits), encoded)
            truth, label = true_numbers[frame.label], numbers[result.label]
            confidence = result.confidence
            confusion = frame_confusion(frame.label, label, confidence, given, true_classes)
            parts.append((*frame_counts(truth, label, confidence, len(limits)), confusion))
        counts = Counts(*(np.stack(arrays) for arrays in zip(*parts, strict=True)))
        self._finished[key] = counts
        self._write()
        return counts

    def _key(self, vocabulary: Vocabulary) -> str:
        texts = [self._segmenter.model, self._segmenter.precision, str(len(self._truth))]
        texts += [json.dumps((t.name, t.prompts, t.negatives)) for t in vocabulary.classes]
        texts.append(json.dumps(vocabulary.thresholds(self._threshold).tolist()))
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()

    def _write(self) -> None:
        file = io.BytesIO()
        arrays = {
            f"{key}.{name}": getattr(counts, name)
            for key, counts in self._finished.items()
            for name in _ARRAYS
        }
        np.savez_compressed(file, **arrays)
        write_atomically(self._cache, file.getvalue(), is_cache)


def is_cache(path: Path) -> bool:
    """Return whether a file was written by `Runs`, so that it may be replaced and removed."""
    try:
        with open_regular_file(path) as file:
            return not file.read(1) or all(
                name.endswith(tuple(f".{array}.npy" for array in _ARRAYS))
                for name in zipfile.ZipFile(file).namelist()
            )
    except (OSError, FileError, zipfile.BadZipFile):
        return False


def _read(cache: Path) -> dict[str, Counts]:
    """Read finished runs; none where the file is missing or is damaged."""
    try:
        with open_regular_file(cache) as file, np.load(file, allow_pickle=False) as arrays:
            keys = {name.partition(".")[0] for name in arrays.files}
            return {key: Counts(*(arrays[f"{key}.{name}"] for name in _ARRAYS)) for key in keys}
    except (OSError, FileError, ValueError, KeyError, zipfile.BadZipFile):
        return {}
