# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What the page shows and changes: a running node, or a model in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.mask_prompts import MaskPrompt
from zs_seg_ros.studio.frames import ShownFrame
from zs_seg_ros.studio.jobs import Work
from zs_seg_ros.types import RgbImage
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary


@dataclass(frozen=True)
class Events:
    """What a source reports, from any of its threads.

    frame: a new frame of a camera that is watched. vocabulary: another vocabulary is in force. status: a new status.
    """

    frame: Callable[[ShownFrame], None]
    vocabulary: Callable[[Vocabulary], None]
    status: Callable[[Status], None]


@dataclass(frozen=True)
class Entry:
    """One entry of the diagnostics. level: 0 OK, 1 warning, 2 error, 3 stale. message: with the remedy."""

    name: str
    level: int
    message: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Status:
    """The state of a source. problem: why nothing can be shown, and what to do; empty without one.

    lengths: the number of images of each camera, to choose from; None where cameras are live. models: the names of two
    models that can be compared; empty where there is one.
    """

    title: str
    state: str = ""
    problem: str = ""
    cameras: tuple[str, ...] = ()
    default_threshold: float = 0.5
    entries: tuple[Entry, ...] = ()
    lengths: Mapping[str, int] | None = None
    models: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the message to the page."""
        return {
            "is": "status",
            "title": self.title,
            "state": self.state,
            "problem": self.problem,
            "cameras": list(self.cameras),
            "default_threshold": self.default_threshold,
            "models": list(self.models),
            "lengths": self.lengths and dict(self.lengths),
            "entries": [{**vars(entry), "values": dict(entry.values)} for entry in self.entries],
        }


@dataclass(frozen=True)
class Watched:
    """What clients look at. clients: whether there are any. confidence: cameras whose confidence is requested."""

    clients: bool = False
    cameras: frozenset[str] = field(default_factory=frozenset)
    confidence: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, eq=False)
class MarkedObject:
    """An object that was marked in an image of a camera. image: (H, W, 3). mask: (H, W)."""

    camera: str
    stamp_ns: int
    image: RgbImage
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Changed:
    """The answer to a change of the vocabulary: the one in force after it, and warnings."""

    vocabulary: Vocabulary
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelChoice:
    """A model and how it is loaded, for another process. threshold: of classes without one."""

    name: str
    options: LoadOptions
    threshold: float


class Source(Protocol):
    """A node, or a model in this process. Its methods may block; they are called in threads."""

    def start(self, events: Events) -> None:
        """Report to `events` from now on."""
        ...

    def stop(self) -> None:
        """End it."""
        ...

    def watch(self, watched: Watched) -> None:
        """Deliver frames of these cameras, and of no others. Without clients nothing is subscribed to."""
        ...

    def choose(self, camera: str, index: int) -> None:
        """Show another image of a camera that is not live. Raises StudioError when there is none."""
        ...

    def change_vocabulary(self, classes: Sequence[TargetClass]) -> Changed:
        """Put these classes in force. Raises VocabularyError when they are refused, StudioError without an answer."""
        ...

    def segment(
        self, image: RgbImage, classes: Sequence[TargetClass], against: bool = False
    ) -> ShownFrame:
        """Segment an image with these classes for this call alone; the result has its confidence.

        against: with the second model of `Status.models`. Raises StudioError when it is refused.
        """
        ...

    def point(self, image: RgbImage, prompt: MaskPrompt) -> ShownFrame:
        """Segment the marked object: the result has it as its only object, or none where the mask is empty.

        Raises StudioError when it is refused, also by a model that takes no points and boxes.
        """
        ...

    def model(self) -> ModelChoice:
        """Return the model, to be loaded elsewhere. Raises StudioError without an answer of the node."""
        ...

    def replay_test(self, camera: str, first: int, last: int, path: Path) -> Work:
        """Return the work that makes a golden file of the images of a camera from `first` to `last`, from 0.

        Raises StudioError where there is no recording, or no such images.
        """
        ...

    def keep(self, marked: MarkedObject, name: str) -> str:
        """Follow a marked object, and return the name of its class.

        name: empty for one that is chosen. Raises StudioError when it is refused.
        """
        ...
