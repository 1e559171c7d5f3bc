# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Images that were dropped onto the page, as one more camera of any source; they are segmented when they are chosen."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zs_seg_ros.errors import StudioError, ZeroShotSegmentationError
from zs_seg_ros.segmenters.mask_prompts import MaskPrompt
from zs_seg_ros.shown import described, shown, traced
from zs_seg_ros.studio.frames import ShownFrame
from zs_seg_ros.studio.jobs import LOG, Work
from zs_seg_ros.studio.source import (
    Changed,
    Events,
    MarkedObject,
    ModelChoice,
    Source,
    Status,
    Watched,
)
from zs_seg_ros.studio.uploads import photo_of
from zs_seg_ros.types import RgbImage, size_of
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

CAMERA = "dropped images"
MOST_FILES = 64
MOST_BYTES = 128 << 20
"""Of all files together, which stay in memory as they were sent: 128 MiB."""
_LONGEST_NAME = 100
_STOP_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class _File:
    name: str
    data: bytes


class WithDroppedImages:
    """A source and the images that were dropped onto the page. Implements `Source`.

    One thread segments the chosen image with the vocabulary in force, again after each change of it.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._files: list[_File] = []
        self._index = 0
        self._is_watched = self._is_due = self._ended = False
        self._vocabulary = Vocabulary()
        self._problem = ""
        self._status = Status("")
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="studio_dropped", daemon=True)

    def add(self, name: str, data: bytes) -> int:
        """Add a file, and return its place. Raises StudioError for what is no image, and for too many."""
        try:
            photo_of(data)
        except StudioError as error:
            raise StudioError(f"{shown(name, _LONGEST_NAME)} is not added: {error}") from error
        with self._changed:
            held = sum(len(file.data) for file in self._files)
            if len(self._files) >= MOST_FILES or held + len(data) > MOST_BYTES:
                raise StudioError(
                    f"{shown(name, _LONGEST_NAME)} is not added: {len(self._files)} images of {held >> 20} MiB were "
                    f"added already, of at most {MOST_FILES} and {MOST_BYTES >> 20} MiB: remove them first"
                )
            self._files.append(_File(shown(name, _LONGEST_NAME), data))
            place = len(self._files) - 1
        self._report()
        return place

    def clear(self) -> None:
        """Remove all dropped images."""
        with self._changed:
            self._files.clear()
            self._index, self._problem = 0, ""
        self._report()

    # --- Source ---

    def start(self, events: Events) -> None:
        """Report to `events` from now on."""
        self._events = events
        self._thread.start()
        self._source.start(Events(events.frame, self._on_vocabulary, self._on_status))

    def stop(self) -> None:
        """End the thread and the source."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)
        self._source.stop()

    def watch(self, watched: Watched) -> None:
        """Deliver frames of these cameras."""
        with self._changed:
            before, self._is_watched = self._is_watched, CAMERA in watched.cameras
            if self._is_watched and not before:
                self._ask()
        own = frozenset((CAMERA,))
        self._source.watch(
            Watched(watched.clients, watched.cameras - own, watched.confidence - own)
        )

    def choose(self, camera: str, index: int) -> None:
        """Show another image. Raises StudioError when there is none."""
        if camera != CAMERA:
            self._source.choose(camera, index)
            return
        with self._changed:
            if not 0 <= index < len(self._files):
                raise StudioError(f"there is no dropped image {index + 1}")
            self._index = index
            self._ask()

    def change_vocabulary(self, classes: Sequence[TargetClass]) -> Changed:
        """Put these classes in force."""
        changed = self._source.change_vocabulary(classes)
        self._follow(changed.vocabulary)
        return changed

    def segment(
        self, image: RgbImage, classes: Sequence[TargetClass], against: bool = False
    ) -> ShownFrame:
        """Segment an image with these classes for this call alone."""
        return self._source.segment(image, classes, against)

    def point(self, image: RgbImage, prompt: MaskPrompt) -> ShownFrame:
        """Segment the marked object."""
        return self._source.point(image, prompt)

    def model(self) -> ModelChoice:
        """Return the model of the source."""
        return self._source.model()

    def replay_test(self, camera: str, first: int, last: int, path: Path) -> Work:
        """Return the work that makes a golden file. Raises StudioError for dropped images, which have no times."""
        if camera == CAMERA:
            raise StudioError(
                "a replay test is made of a recording, and these are dropped images: choose a camera of the recording"
            )
        return self._source.replay_test(camera, first, last, path)

    def keep(self, marked: MarkedObject, name: str) -> str:
        """Follow an object of a live image. Raises StudioError for dropped images."""
        if marked.camera == CAMERA:
            raise StudioError(
                "objects are followed in live images, and this one was dropped onto the page: mark it in a camera's"
            )
        return self._source.keep(marked, name)

    # --- in the thread ---

    def _ask(self) -> None:
        """Have the chosen image shown. With the lock."""
        self._is_due = True
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._ended or (self._is_due and self._is_watched and self._files)
                )
                if self._ended:
                    return
                self._is_due = False
                index, file, vocabulary = self._index, self._files[self._index], self._vocabulary
            self._show(index, file, vocabulary)

    def _show(self, index: int, file: _File, vocabulary: Vocabulary) -> None:
        image = photo_of(file.data)
        frame, problem = ShownFrame(CAMERA, index, image, size_of(image)), ""
        try:
            if vocabulary.classes:
                frame = replace(self._source.segment(image, ()), version=vocabulary.version)
        except ZeroShotSegmentationError as error:
            problem = f"{file.name}: {error}"
        except Exception as error:  # of the model: the next image is tried
            LOG.error("%s", traced(error))
            problem = f"the model fails on {file.name}: {described(error)}"
        self._events.frame(
            replace(frame, camera=CAMERA, stamp_ns=index, title=file.name, index=index)
        )
        with self._changed:
            changed, self._problem = problem != self._problem, problem
        if changed:
            self._report()

    # --- reports of the source ---

    def _on_vocabulary(self, vocabulary: Vocabulary) -> None:
        self._follow(vocabulary)
        self._events.vocabulary(vocabulary)

    def _follow(self, vocabulary: Vocabulary) -> None:
        with self._changed:
            self._vocabulary = vocabulary
            self._ask()

    def _on_status(self, status: Status) -> None:
        with self._changed:
            self._status = status
        self._report()

    def _report(self) -> None:
        with self._changed:
            status, count, problem = self._status, len(self._files), self._problem
        if count:
            status = replace(
                status,
                problem="; ".join(filter(None, (status.problem, problem))),
                cameras=(*status.cameras, CAMERA),
                lengths={**(status.lengths or {}), CAMERA: count},
            )
        self._events.status(status)
