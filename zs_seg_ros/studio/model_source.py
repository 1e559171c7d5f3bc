# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A model in this process as the source of the studio: it segments images that wait to be chosen."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from zs_seg_ros.errors import StudioError, VocabularyError, ZeroShotSegmentationError
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.perception.marked_objects import segment_marked
from zs_seg_ros.perception.masks import extract_objects
from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.mask_prompts import MaskPrompt
from zs_seg_ros.shown import described, shown, traced
from zs_seg_ros.studio.frames import ShownFrame, shown_objects
from zs_seg_ros.studio.golden_run import GoldenRequest, write_golden
from zs_seg_ros.studio.jobs import LOG, Work
from zs_seg_ros.studio.source import (
    Changed,
    Entry,
    Events,
    MarkedObject,
    ModelChoice,
    Status,
    Watched,
)
from zs_seg_ros.studio.stills import Stills
from zs_seg_ros.types import RgbImage, size_of
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

_STOP_TIMEOUT_S = 2.0


class NamedModel(LiveModel):
    """A live model that was loaded, and how: by which name, and with which options."""

    def __init__(self, name: str, options: LoadOptions, first: Vocabulary | None) -> None:
        """Load the model. first: the first vocabulary. Raises ModelError or VocabularyError."""
        super().__init__(time.time_ns)
        self.name, self.options = name, options
        self.load(name, options, first)


class ModelSource:
    """Shows images, segmented by a model. Implements `Source`.

    One thread segments the chosen image of each camera that is watched, again after each change of the vocabulary.
    """

    def __init__(
        self,
        model: NamedModel,
        stills: Stills,
        settings: Settings,
        against: NamedModel | None = None,
    ) -> None:
        """model: loaded. against: a second one to compare it with."""
        self._model = model
        self._against = against
        self._stills = stills
        self._settings = settings
        self._lengths = stills.lengths
        self._chosen = dict.fromkeys(self._lengths, 0)
        self._watched: frozenset[str] = frozenset()
        self._due: set[str] = set()
        self._problem = ""
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="studio_model", daemon=True)

    # --- Source ---

    def start(self, events: Events) -> None:
        """Report to `events` from now on."""
        self._events = events
        self._thread.start()
        self._report()
        if self._model.vocabulary.version:
            events.vocabulary(self._model.vocabulary)

    def stop(self) -> None:
        """End the thread, and free the model."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)
        for model in filter(None, (self._model, self._against)):
            model.free(_STOP_TIMEOUT_S)

    def watch(self, watched: Watched) -> None:
        """Show the chosen images of these cameras."""
        with self._changed:
            before, self._watched = self._watched, watched.cameras & self._lengths.keys()
            self._ask(self._watched - before)

    def choose(self, camera: str, index: int) -> None:
        """Show another image of a camera. Raises StudioError when there is none."""
        with self._changed:
            if not 0 <= index < self._lengths.get(camera, 0):
                raise StudioError(f"there is no image {index + 1} of {shown(camera)}")
            self._chosen[camera] = index
            self._ask({camera})

    def change_vocabulary(self, classes: Sequence[TargetClass]) -> Changed:
        """Put these classes in force, and segment the chosen images again. Raises VocabularyError."""
        try:
            warnings = self._model.change_vocabulary(classes)
        except ZeroShotSegmentationError:
            raise
        except Exception as error:  # of the model
            LOG.error("%s", traced(error))
            raise VocabularyError(f"the model fails on it: {described(error)}") from error
        with self._changed:
            self._ask(self._watched)
        return Changed(self._model.vocabulary, tuple(warnings))

    def segment(
        self, image: RgbImage, classes: Sequence[TargetClass], against: bool = False
    ) -> ShownFrame:
        """Segment an image with these classes for this call alone."""
        if self._against is None or not against:
            return self._segmented(image, classes)
        return self._segmented(image, classes or self._model.vocabulary.classes, self._against)

    def point(self, image: RgbImage, prompt: MaskPrompt) -> ShownFrame:
        """Segment the marked object. Raises ModelError for a model that takes no points and boxes."""
        segmentation, vocabulary = self._model.segment_without_words(
            lambda prompter: segment_marked(prompter, image, [prompt])
        )
        objects = tuple(each for each in segmentation.instances or () if each.area)
        return ShownFrame("", 0, image, size_of(image), shown_objects(objects, vocabulary))

    def model(self) -> ModelChoice:
        """Return the model of this process."""
        model = self._model
        return ModelChoice(model.name, model.options, self._settings.default_threshold)

    def replay_test(self, camera: str, first: int, last: int, path: Path) -> Work:
        """Return the work that makes a golden file of a span of the recording. Raises StudioError."""
        model = self._model
        request = GoldenRequest(
            path, self._stills.span(camera, first, last), model.name, model.options, self._settings
        )
        return lambda job: write_golden(request, model, job)

    def keep(self, marked: MarkedObject, name: str) -> str:
        """Refuse: objects are followed in live images."""
        raise StudioError(
            "objects are followed in live images: start the studio beside a running node"
        )

    # --- in the thread ---

    def _ask(self, cameras: set[str] | frozenset[str]) -> None:
        """Have cameras shown. With the lock."""
        self._due |= cameras
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._due & self._watched)
                if self._ended:
                    return
                camera = sorted(self._due & self._watched)[0]
                self._due.discard(camera)
                index = self._chosen[camera]
            self._show(camera, index)

    def _show(self, camera: str, index: int) -> None:
        problem = ""
        try:
            frame, title = self._stills.read(camera, index)
            image = frame.image
            if self._model.encoded is None:
                result = ShownFrame(camera, frame.stamp_ns, image, size_of(image))
            else:
                result = self._segmented(image, ())
            self._events.frame(
                replace(result, camera=camera, stamp_ns=frame.stamp_ns, title=title, index=index)
            )
        except ZeroShotSegmentationError as error:
            problem = str(error)
        except Exception as error:  # of the model: the next image is tried
            LOG.error("%s", traced(error))
            problem = f"the model fails on this image: {described(error)}"
        self._problem = problem
        self._report()

    def _segmented(
        self,
        image: RgbImage,
        classes: Sequence[TargetClass],
        model: NamedModel | None = None,
    ) -> ShownFrame:
        settings, start_s = self._settings, time.monotonic()
        segmentation, vocabulary = (model or self._model).segment_once(
            image, classes, settings.default_threshold
        )
        objects = extract_objects(segmentation, settings.min_area, settings.max_objects)
        return ShownFrame(
            "",
            0,
            image,
            size_of(image),
            shown_objects(objects, vocabulary),
            vocabulary.version,
            (time.monotonic() - start_s) * 1000,
            confidence=segmentation.confidence,
        )

    # --- status ---

    def _report(self) -> None:
        segmenter = self._model.segmenter
        entries: tuple[Entry, ...] = ()
        if segmenter is not None:
            values = {
                "model": segmenter.model,
                "device": segmenter.device,
                "precision": segmenter.precision,
            }
            entries = (Entry("model", 0, segmenter.caution or "ready", values),)
        self._events.status(
            Status(
                "without a node",
                problem=self._problem,
                cameras=tuple(self._lengths),
                default_threshold=self._settings.default_threshold,
                entries=entries,
                lengths=dict(self._lengths),
                models=() if self._against is None else (self._model.name, self._against.name),
            )
        )
