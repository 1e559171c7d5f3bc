# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Ground truth: images with the class of each pixel and, where they are known, the objects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import EvaluationError, ImageError
from zs_seg_ros.shown import quoted, shown
from zs_seg_ros.types import RgbImage, size_of
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

IGNORED = 65535
"""The value in `TruthFrame.label` of pixels that are not judged."""


@dataclass(frozen=True, eq=False)
class TruthObject:
    """One object. number: of its class, from 1. mask: (H, W) bool. crowd: a group of objects, which is not judged."""

    number: int
    mask: NDArray[np.bool_]
    crowd: bool = False


@dataclass(frozen=True, eq=False)
class TruthFrame:
    """One image and what it shows.

    label: (H, W) uint16: n for the n-th class (from 1), 0 for none of them, IGNORED where a pixel is not judged.
    objects: None where the ground truth does not separate objects. Raises EvaluationError when the sizes differ.
    """

    name: str
    image: RgbImage
    label: NDArray[np.uint16]
    objects: tuple[TruthObject, ...] | None = None

    def __post_init__(self) -> None:
        if size_of(self.image) != self.label.shape:
            (height, width), (label_height, label_width) = size_of(self.image), self.label.shape
            raise EvaluationError(
                f"the image {shown(self.name, 300)} has {width}x{height} pixels and its ground truth "
                f"{label_width}x{label_height}: give both the same size"
            )


class Truth(ABC):
    """A collection of frames with ground truth, read one by one."""

    classes: tuple[TargetClass, ...]
    """The classes, with the prompts that the ground truth gives; the n-th is n in `TruthFrame.label`."""
    separates_objects: bool
    """Whether frames have objects."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of frames."""

    @abstractmethod
    def frames(self, every: int = 1) -> Iterator[TruthFrame]:
        """Yield every N-th frame, from the first on. Raises EvaluationError for one that cannot be read."""


def numbers_of_ids(vocabulary: Vocabulary) -> NDArray[np.uint16]:
    """Return a table, with 65536 entries, from the ids of a vocabulary's classes to their numbers, from 1; else 0."""
    table = np.zeros(65536, np.uint16)
    table[list(vocabulary.ids)] = np.arange(1, len(vocabulary.ids) + 1)
    return table


@contextmanager
def errors_as_evaluation_errors(what: str = "") -> Iterator[None]:
    """Turn an ImageError into an EvaluationError. what: a clause that comes before its sentence; empty for none."""
    try:
        yield
    except ImageError as error:
        raise EvaluationError(f"{what}: {error}" if what else str(error)) from error


def numbers_of(names: tuple[str, ...], truth: Truth) -> NDArray[np.uint16]:
    """Return a table from the numbers of the ground truth's classes to those of `names`, from 1; 0 for others.

    The table has 65536 entries; 0 stays 0 and IGNORED stays IGNORED. Raises EvaluationError for a name without
    ground truth, since every pixel of it would be counted as wrong.
    """
    known = [target.name for target in truth.classes]
    for name in names:
        if name not in known:
            raise EvaluationError(
                f"there is no ground truth for the class {quoted(name)}: take it out of the vocabulary, or name it as "
                f"one of {', '.join(map(quoted, known[:20]))}{' and others' if len(known) > 20 else ''}"
            )
    table = np.zeros(65536, np.uint16)
    table[IGNORED] = IGNORED
    for number, name in enumerate(known, 1):
        table[number] = names.index(name) + 1 if name in names else 0
    return table
