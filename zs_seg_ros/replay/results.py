# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Results of a node for one frame, and the settings behind them, as golden files and comparisons use them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import Box, Metres
from zs_seg_ros.vocabulary.vocabulary import TargetClass

Setting = bool | int | float | str

EXEMPLARS = "exemplars"
"""The setting with the number of example images of the classes: a golden file does not keep the images."""
DIGITS = 6
"""Digits after the point of scores, positions and thresholds, which are of 32 bits."""


@dataclass(frozen=True, eq=False)
class ObjectResult:
    """One detected object. score: 0..1. mask: (box.height, box.width) bool. track_id: 0 when it is not tracked."""

    class_name: str
    score: float
    box: Box
    mask: NDArray[np.bool_]
    track_id: int = 0
    position_m: Metres | None = None

    @property
    def area(self) -> int:
        """The number of pixels in the mask."""
        return int(np.count_nonzero(self.mask))


@dataclass(frozen=True, eq=False)
class FrameResult:
    """The result for the index-th image of a camera.

    label: (H, W) uint16; 0 is nothing, n the n-th name (from 1) of the list of classes that goes with this result.
    """

    camera: str
    index: int
    stamp_ns: int
    label: NDArray[np.uint16]
    objects: tuple[ObjectResult, ...] = ()


@dataclass(frozen=True)
class CameraSettings:
    """The transports of a camera's images and depth images. depth_transport: None without depth."""

    name: str
    transport: str
    depth_transport: str | None


@dataclass(frozen=True)
class Span:
    """A part of a recording: the images of each camera from `first` to `last`, counted from 0; None: to the end."""

    first: int = 0
    last: int | None = None

    def holds(self, index: int) -> bool:
        """Return whether an image is in it, by its index among the images of its camera."""
        return self.first <= index and not self.is_past(index)

    def is_past(self, index: int) -> bool:
        """Return whether an image is behind it."""
        return self.last is not None and index > self.last

    def count(self, images: int, every: int) -> int:
        """Return how many of a camera's images are replayed, if every N-th one is."""
        last = images - 1 if self.last is None else min(images - 1, self.last)
        return max(0, last // every - -(-self.first // every) + 1)


WHOLE = Span()


@dataclass(frozen=True)
class RunSettings:
    """The configuration behind results.

    settings: the node's parameters that change results, and EXEMPLARS. engine, precision: what the model computed with,
    as /diagnostics reports them; empty where that is not known, as in golden files of earlier versions.
    """

    recording: str
    model: str
    classes: tuple[TargetClass, ...]
    cameras: tuple[CameraSettings, ...]
    every: int = 1
    settings: dict[str, Setting] = field(default_factory=dict)
    span: Span = WHOLE
    engine: str = ""
    precision: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of `classes`."""
        return tuple(target.name for target in self.classes)


class Identities:
    """Numbers a camera's track ids by their first appearance: the ids of a node depend on what it tracked before."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}

    def number(self, track_id: int) -> int:
        """Return the number of a track id, from 1; 0 (not tracked) stays 0."""
        if track_id == 0:
            return 0
        return self._numbers.setdefault(track_id, len(self._numbers) + 1)


def are_identical(one: FrameResult, other: FrameResult) -> bool:
    """Return whether two results are equal in every pixel and every number."""
    if not np.array_equal(one.label, other.label) or len(one.objects) != len(other.objects):
        return False
    return all(map(_are_identical_objects, one.objects, other.objects))


def _are_identical_objects(one: ObjectResult, other: ObjectResult) -> bool:
    return (
        one.class_name == other.class_name
        and one.score == other.score
        and one.box == other.box
        and one.track_id == other.track_id
        and one.position_m == other.position_m
        and np.array_equal(one.mask, other.mask)
    )
