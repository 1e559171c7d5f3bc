# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Runs the model with each candidate over labelled frames, and keeps the counts on disk to resume."""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import FileError
from zs_seg_ros.evaluation.proposals import frame_confusion
from zs_seg_ros.evaluation.truth import Truth, TruthFrame, numbers_of, numbers_of_ids
from zs_seg_ros.evaluation.tuning import LOWEST, Counts, frame_counts
from zs_seg_ros.files import open_regular_file, write_atomically
from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter
from zs_seg_ros.segmenters.kept_images import keeping_images
from zs_seg_ros.segmenters.recovery import recovering
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

_ARRAYS = ("right", "wrong", "expected", "confusion")
_WRITE_EVERY_S = 30
Progress = Callable[[Iterable[TruthFrame]], Iterable[TruthFrame]]


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


@dataclass(frozen=True, eq=False)
class _Run:
    """One vocabulary, and the arrays of `Counts` of the frames that it has gone over, in order."""

    encoded: EncodedVocabulary[Any]
    thresholds: NDArray[np.float32]
    numbers: NDArray[np.uint16]
    true_numbers: NDArray[np.uint16]
    true_classes: int
    frames: list[tuple[NDArray[np.int64], ...]]

    def add(self, frame: TruthFrame, segmenter: Segmenter[Any]) -> None:
        """Segment a frame and count it."""
        limits = np.full(len(self.thresholds), LOWEST, np.float32)
        with recovering(segmenter):
            [result] = segmenter.segment(Batch((frame.image,), limits), self.encoded)
        truth, label = self.true_numbers[frame.label], self.numbers[result.label]
        confidence = result.confidence
        confusion = frame_confusion(
            frame.label, label, confidence, self.thresholds, self.true_classes
        )
        self.frames.append((*frame_counts(truth, label, confidence, len(limits)), confusion))

    def counts(self) -> Counts:
        """Return the counts of all frames so far, at least one."""
        return Counts(*(np.stack(arrays) for arrays in zip(*self.frames, strict=True)))


class Runs:
    """Runs a segmenter over ground truth. Counts so far are read from `cache`, which belongs to one model and truth."""

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
        self._counts = _read(cache)

    def counts(self, vocabularies: Sequence[Vocabulary]) -> list[Counts]:
        """Return the counts of each vocabulary over all frames, each of which is encoded once for all of them.

        An interruption loses little: the counts so far are written now and then, and before an error is raised. Raises
        ZeroShotSegmentationError.
        """
        keys = [self._key(vocabulary) for vocabulary in vocabularies]
        runs = {
            key: self._run(key, vocabulary)
            for key, vocabulary in zip(keys, vocabularies, strict=True)
            if not self._is_finished(key)
        }
        if runs:
            try:
                self._go_over_frames(runs)
            finally:
                self._write(runs)
        return [self._counts[key] for key in keys]

    def _is_finished(self, key: str) -> bool:
        return key in self._counts and len(self._counts[key].expected) == len(self._truth)

    def _run(self, key: str, vocabulary: Vocabulary) -> _Run:
        with recovering(self._segmenter):
            encoded = self._segmenter.encode(vocabulary)
        frames: list[tuple[NDArray[np.int64], ...]] = []
        if key in self._counts:
            so_far = self._counts[key]
            frames = list(zip(*(getattr(so_far, name) for name in _ARRAYS), strict=True))
        return _Run(
            encoded,
            vocabulary.thresholds(self._threshold),
            numbers_of_ids(vocabulary),
            numbers_of(vocabulary.names, self._truth),
            len(self._truth.classes),
            frames,
        )

    def _go_over_frames(self, runs: Mapping[str, _Run]) -> None:
        written = time.monotonic()
        for index, frame in enumerate(self._progress(self._truth.frames())):
            with keeping_images():
                for run in runs.values():
                    if len(run.frames) <= index:
                        run.add(frame, self._segmenter)
            if time.monotonic() - written > _WRITE_EVERY_S:
                self._write(runs)
                written = time.monotonic()

    def _key(self, vocabulary: Vocabulary) -> str:
        texts = [self._segmenter.model, self._segmenter.precision, str(len(self._truth))]
        texts += [json.dumps((t.name, t.prompts, t.negatives)) for t in vocabulary.classes]
        texts.append(json.dumps(vocabulary.thresholds(self._threshold).tolist()))
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()

    def _write(self, runs: Mapping[str, _Run]) -> None:
        self._counts |= {key: run.counts() for key, run in runs.items() if run.frames}
        file = io.BytesIO()
        arrays = {
            f"{key}.{name}": getattr(counts, name)
            for key, counts in self._counts.items()
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
    """Read the counts so far; none where the file is missing or is damaged."""
    try:
        with open_regular_file(cache) as file, np.load(file, allow_pickle=False) as arrays:
            keys = {name.partition(".")[0] for name in arrays.files}
            counts = {key: [arrays[f"{key}.{name}"] for name in _ARRAYS] for key in keys}
            return {
                key: Counts(*of_run)
                for key, of_run in counts.items()
                if len({*map(len, of_run)}) == 1
            }
    except (OSError, FileError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return {}
