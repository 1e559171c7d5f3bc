# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A loaded model and the vocabulary in force with its text embeddings, changed atomically during inference."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from zs_seg_ros.errors import ModelError, VocabularyError
from zs_seg_ros.perception.between_detections import BetweenDetections
from zs_seg_ros.perception.kept_objects import KeptObjects
from zs_seg_ros.perception.passed_trials import PassedTrials
from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter, shared_space_of
from zs_seg_ros.segmenters.deadline import check_time, masks_too_late, time_limit
from zs_seg_ros.segmenters.finite import finite_outputs_required
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.mask_prompts import MaskPrompter, mask_prompter_of
from zs_seg_ros.segmenters.recovery import recovering
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared.example_pooling import pooled_example
from zs_seg_ros.segmenters.video_memory import VideoMemory, video_follower_of
from zs_seg_ros.shared_space import Embeddings
from zs_seg_ros.types import Batch, RgbImage, Segmentation
from zs_seg_ros.vocabulary.vocabulary import (
    DEFAULT_LIMITS,
    Exemplar,
    Limits,
    TargetClass,
    Vocabulary,
    checked_prompts,
)

Answer = TypeVar("Answer")

_WARM_UP_SIZE = (480, 640)
_MAX_WARNINGS = 100
_NO_MODEL = "no model is loaded; configure the node first, or wait while it loads its model"


class LiveModel:
    """Hold the model and the encoded vocabulary of the next batch. Thread-safe.

    encoded: read it once per batch; None while no vocabulary is in force. The vocabulary outlives the model: ids are
    never reused while the process lives, also when another model is loaded.
    kept: the objects that are kept; they end with their classes, and with the model. between: what was detected last,
    for images between two detections.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self.segmenter: Segmenter[Any] | None = None
        self.encoded: EncodedVocabulary[Any] | None = None
        self.vocabulary = Vocabulary()
        self.kept = KeptObjects()
        self.between = BetweenDetections()
        self._passed: PassedTrials | None = None
        self._now_ns = now_ns
        self._change = threading.Lock()

    def load(self, model: str, options: LoadOptions, first: Vocabulary | None = None) -> list[str]:
        """Load a model and put the last vocabulary in force or, if there was none yet, `first`.

        Returns warnings about names and prompts. Raises ModelError or VocabularyError; then no model is loaded.
        """
        with self._change:
            self.segmenter = load_segmenter(model, options)
            vocabulary = self.vocabulary if self.vocabulary.version else first or self.vocabulary
            try:
                return self._put_in_force(vocabulary) if vocabulary.version else []
            except Exception:
                self._free()
                raise

    def change_vocabulary(
        self,
        classes: Iterable[TargetClass],
        limits: Limits = DEFAULT_LIMITS,
        timeout_s: float = 0.0,
    ) -> list[str]:
        """Encode a new vocabulary while the old one stays in use, then swap them.

        Inference on a blank image, the trial, comes first, unless `PassedTrials` covers the vocabulary.
        timeout_s: how long encoding and a trial image may take; 0: no limit. Returns warnings about names and prompts.
        Raises VocabularyError, also when the time is over, or what the model raises; then the old vocabulary stays in
        force.
        """
        return self.edit_vocabulary(lambda _classes: classes, limits, timeout_s)

    def edit_vocabulary(
        self,
        edit: Callable[[tuple[TargetClass, ...]], Iterable[TargetClass]],
        limits: Limits = DEFAULT_LIMITS,
        timeout_s: float = 0.0,
    ) -> list[str]:
        """Put the classes in force that `edit` makes of those in force, as `change_vocabulary` does."""
        with self._change, time_limit(timeout_s):
            classes = edit(self.vocabulary.classes)
            return self._put_in_force(self.vocabulary.changed_to(classes, limits))

    def _put_in_force(self, vocabulary: Vocabulary) -> list[str]:
        if self.segmenter is None:
            raise VocabularyError(_NO_MODEL)
        passed = self._trials_of(self.segmenter)
        with recovering(self.segmenter):
            encoded = self._encoded(self.segmenter, vocabulary)
            if not passed.cover(encoded.vocabulary):
                # Inference on one image before the swap: a model that fails on this vocabulary fails here.
                blank = np.zeros((*_WARM_UP_SIZE, 3), np.uint8)
                batch = Batch((blank,), encoded.vocabulary.thresholds(1.0))
                with finite_outputs_required():
                    self.segmenter.segment(batch, encoded)
        check_time()  # a single step of a large model may take longer than the limit
        passed.add(encoded.vocabulary)
        stamp_ns, in_force = self._now_ns(), encoded.in_force
        vocabulary = replace(vocabulary, stamp_ns=stamp_ns)
        before, self.vocabulary = self.vocabulary, vocabulary
        self.kept.by_exemplar = in_force is None
        detected = replace(encoded.vocabulary, stamp_ns=stamp_ns)
        self.encoded = (
            replace(encoded, vocabulary=vocabulary)
            if in_force is None
            else replace(encoded, vocabulary=detected, in_force=vocabulary)
        )
        self.kept.retain(vocabulary, before)
        if not vocabulary.classes:
            return ["the vocabulary is empty: nothing will be labelled"]
        return _first_warnings(encoded.all_warnings)

    def _encoded(self, segmenter: Segmenter[Any], vocabulary: Vocabulary) -> EncodedVocabulary[Any]:
        """Encode a vocabulary, without the classes of kept objects where the model refuses their exemplars.

        These are then followed by the detections of the classes that they were detected as. Classes of objects that
        a video memory follows are left out for every model, since detections of them would not be used.
        """
        detected = vocabulary.without(self.kept.remembered_names())
        if detected.ids != vocabulary.ids:
            return replace(segmenter.encode(detected), in_force=vocabulary)
        try:
            return segmenter.encode(vocabulary)
        except VocabularyError:
            without = vocabulary.without(self.kept.track_names())
            if without.ids == vocabulary.ids:
                raise
            return replace(segmenter.encode(without), in_force=vocabulary)

    def _trials_of(self, segmenter: Segmenter[Any]) -> PassedTrials:
        if self._passed is None or self._passed.segmenter is not segmenter:
            self._passed = PassedTrials(segmenter)
        return self._passed

    def segment_once(
        self,
        image: RgbImage,
        classes: Iterable[TargetClass],
        default_threshold: float,
        limits: Limits = DEFAULT_LIMITS,
        timeout_s: float = 0.0,
    ) -> tuple[Segmentation, Vocabulary]:
        """Segment one image with `classes` or, without any, with the vocabulary in force, which does not change.

        Returns also the vocabulary that was used; that of `classes` has the version 0. Raises ModelError without a
        model, VocabularyError for refused classes or without any vocabulary, or what the model raises.
        """
        targets = tuple(classes)
        with self._change, time_limit(timeout_s):
            if self.segmenter is None:
                raise ModelError(_NO_MODEL)
            encoded = self.encoded
            with recovering(self.segmenter):
                if targets:
                    once = replace(Vocabulary().changed_to(targets, limits), version=0)
                    encoded = self.segmenter.encode(once)
                if encoded is None:
                    raise VocabularyError(
                        "no vocabulary is in force; give classes, or set a vocabulary first"
                    )
                batch = Batch((image,), encoded.vocabulary.thresholds(default_threshold))
                return self.segmenter.segment(batch, encoded)[0], encoded.vocabulary

    def segment_without_words(
        self, segment: Callable[[MaskPrompter], Answer], timeout_s: float = 0.0
    ) -> Answer:
        """Call `segment` with the model's part that takes points and boxes; the vocabulary in force does not change.

        timeout_s: how long it may take, checked between runs of the mask decoder; 0: no limit. Raises MaskPromptError
        when the time is over, ModelError without a model, NoMaskPromptsError for one that takes none, and what
        `segment` raises.
        """
        with self._change, time_limit(timeout_s, masks_too_late):
            if self.segmenter is None:
                raise ModelError(_NO_MODEL)
            prompter = mask_prompter_of(self.segmenter)
            with recovering(self.segmenter):
                return segment(prompter)

    def remember(self, example: Exemplar, timeout_s: float = 0.0) -> VideoMemory | None:
        """Return the model's video memory of a marked object; None for a model without one, or for no mask.

        Raises ModelError without a model, or what the model raises.
        """
        with self._change, time_limit(timeout_s, masks_too_late):
            if self.segmenter is None:
                raise ModelError(_NO_MODEL)
            follower = video_follower_of(self.segmenter)
            if follower is None or example.mask is None:
                return None
            with recovering(self.segmenter):
                [memory] = follower.remember(example.image, [example.mask])
                return memory

    def embed(
        self,
        prompts: Iterable[str],
        example: Exemplar | None = None,
        limits: Limits = DEFAULT_LIMITS,
        timeout_s: float = 0.0,
    ) -> Embeddings:
        """Embed prompts and, as the last row, the marked part of an image in the model's shared space.

        Raises ModelError without a model or for one without such a space, VocabularyError for refused prompts or
        without any, or what the model raises.
        """
        checked = checked_prompts(prompts, limits)
        with self._change, time_limit(timeout_s):
            if self.segmenter is None:
                raise ModelError(_NO_MODEL)
            space = shared_space_of(self.segmenter)
            with recovering(self.segmenter):
                rows = [space.embed_prompts(checked)] if checked else []
                if example is not None:
                    rows.append(pooled_example(space.embed_image(example.image), example))
            if not rows:
                raise VocabularyError("there is nothing to embed; give prompts, or an image")
            return Embeddings(self.segmenter.model, np.concatenate(rows))

    def problems(self, detection_interval_s: float) -> list[str]:
        """Return a sentence for each kept object that is lost, and for an interval without a video memory."""
        lost = self.kept.problems()
        segmenter = self.segmenter
        if not detection_interval_s or segmenter is None or video_follower_of(segmenter):
            return lost
        return [
            *lost,
            f"detection_interval is {detection_interval_s:g} s and the model {segmenter.model} has no video memory, so "
            "that it detects in every image: set it to 0.0, or load facebook/sam3, or a pair with "
            "facebook/sam2.1-hiera-tiny or yonigozlan/EdgeTAM-hf",
        ]

    def free(self, timeout_s: float = -1.0) -> None:
        """Free the model's memory; the vocabulary is kept for the next `load`.

        timeout_s: how long to wait for a change in progress; after that nothing is freed. -1: no limit.
        """
        if self._change.acquire(timeout=timeout_s):
            try:
                self._free()
                self._forget_kept()
            finally:
                self._change.release()

    def _forget_kept(self) -> None:
        names = {kept.name for kept in self.kept.all} & {*self.vocabulary.names}
        if names:
            stay = [target for target in self.vocabulary.classes if target.name not in names]
            self.vocabulary = self.vocabulary.changed_to(stay)
        self.kept.clear()

    def _free(self) -> None:
        self.encoded = self._passed = None
        self.between.forget()
        if self.segmenter is not None:
            self.segmenter.close()
            self.segmenter = None


def _first_warnings(warnings: Sequence[str]) -> list[str]:
    """Return the first warnings only, since a thousand classes can have half a million pairs of synonyms."""
    left_out = len(warnings) - _MAX_WARNINGS
    if left_out <= 0:
        return list(warnings)
    return [*warnings[:_MAX_WARNINGS], f"{left_out} more warnings are left out"]
