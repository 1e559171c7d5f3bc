# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Class ids, the values in label images: unique, never given to another name, and chosen or requested."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.shown import quoted, shown

NEVER_GIVEN = frozenset({0, 255, 65535})
"""0 is the background; 255 and 65535 mean 'unknown' to costmaps and data sets."""
LAST_ID_IN_8_BITS = 254
LAST_ID = 65534


@dataclass(frozen=True)
class LabelIds:
    """The label values of K classes, and the dtype of the label images that they are written to.

    values: (K,), each 1..65534 without 255. dtype: np.uint8 or np.uint16, which follows from all ids of a vocabulary,
    so that its label images have one dtype even where only some of its classes are decoded.
    """

    values: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, values: Iterable[int]) -> LabelIds:
        """Return ids with the dtype that holds them: np.uint8 up to 254, np.uint16 above."""
        values = tuple(values)
        fits_8_bits = max(values, default=0) <= LAST_ID_IN_8_BITS
        return cls(values, np.dtype(np.uint8) if fits_8_bits else np.dtype(np.uint16))

    def of_classes(self, indices: Iterable[int]) -> LabelIds:
        """Return the ids of the classes with these indices, in this order, with the same dtype."""
        return replace(self, values=tuple(self.values[index] for index in indices))


def all_ids(requested: Iterable[tuple[str, int]], given: Mapping[str, int]) -> dict[str, int]:
    """Return the id of every name, with those of a new vocabulary.

    requested: the names of the new vocabulary and the id that each requests; 0 for any. given: the id of each name that
    ever had one. Names that had an id keep it; the others get the id that they request, or one that no name ever had.
    Raises VocabularyError for an id that cannot be given.
    """
    requested = tuple(requested)
    ids = dict(given)
    names = {number: name for name, number in given.items()}
    for name, number in requested:
        if number:
            _give(name, number, ids, names)
    free = _free_ids(names.keys())
    for name, _ in requested:
        if name not in ids and (number := next(free, 0)):
            ids[name] = number
        elif name not in ids:
            raise VocabularyError(
                f"there is no id left for {quoted(name)}: {LAST_ID - 1} names have one; end the node, take names out "
                "of 'ids' in its vocabulary_file, if it has one, and start it again"
            )
    return ids


def _give(name: str, number: int, ids: dict[str, int], names: dict[int, str]) -> None:
    """Give a name the id that it requests."""
    what = f"class {quoted(name)} requests the id {shown(number)}"
    if not 0 < number <= LAST_ID or number in NEVER_GIVEN:
        raise VocabularyError(
            f"{what}; ids are 1 to {LAST_ID} without 255, and 0 lets the node choose one"
        )
    if (owner := names.setdefault(number, name)) != name:
        raise VocabularyError(
            f"{what}, which belongs to {quoted(owner)}: an id is never given to another name; choose another id"
        )
    if (earlier := ids.setdefault(name, number)) != number:
        raise VocabularyError(
            f"{what}, and has the id {earlier}, which it keeps while the node's process lives; request that one, or 0"
        )


def _free_ids(taken: Set[int]) -> Iterator[int]:
    return (i for i in range(1, LAST_ID + 1) if i not in NEVER_GIVEN and i not in taken)
