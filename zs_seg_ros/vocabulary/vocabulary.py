# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The vocabulary: classes to detect, the prompts and exemplars that describe them, and ids that are never reused."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.shown import quoted, shown
from zs_seg_ros.vocabulary.class_ids import LAST_ID, NEVER_GIVEN, LabelIds, all_ids
from zs_seg_ros.vocabulary.precedence import Precedence, precedence_of
from zs_seg_ros.vocabulary.text import (
    compared,
    entries_of,
    has_visible_character,
    invisible_character,
    normalised,
)

LAST_VERSION = 2**32 - 2
"""Versions are uint32 in messages; the next one after it is refused."""
MAX_SIDE_PX = 16384
"""Longer images are refused: no camera has them, and one malformed header could claim all memory."""
MAX_PIXELS = 4096 * 3072
"""Twelve megapixels, more than cameras of robots publish. A compressed image of a few hundred bytes can claim 268."""
LEAST_SIDE_PX, LEAST_MASK_PX = 2, 4
"""Of an exemplar. No object can be recognised in less, and a stray pixel is a mistake of whoever marked the object."""


@dataclass(frozen=True)
class Limits:
    """The largest vocabulary that is accepted, so that no caller can take all time or memory.

    classes: of the vocabulary; prompts, as many negatives, and exemplars: of one class; characters: of one name or
    prompt; total_prompts: prompts, negatives and exemplars of all classes, since each costs time in every frame;
    exemplar_pixels: of one exemplar in a file. A model refuses prompts that are longer than its text encoder reads,
    which is 77 tokens (CLIP) or fewer.
    """

    classes: int = 1000
    prompts: int = 32
    exemplars: int = 8
    characters: int = 300
    total_prompts: int = 2000
    exemplar_pixels: int = MAX_PIXELS


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, eq=False)
class Exemplar:
    """An example image of a class (a visual prompt), used instead of a text prompt.

    image: (H, W, 3) uint8 RGB, sides of 2 to 16384 pixels. mask: (H, W) bool, True on the object, at least at four
    pixels; None for the whole image. Raises VocabularyError for other arrays; every exemplar that exists is usable.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        shape, mask = self.image.shape, self.mask
        if not (len(shape) == 3 and shape[2] == 3 and self.image.dtype == np.uint8):
            raise VocabularyError(
                "an exemplar's image must have the shape (height, width, 3) and the type uint8, not "
                f"{shape} and {self.image.dtype}"
            )
        height, width = shape[:2]
        if not (LEAST_SIDE_PX <= height <= MAX_SIDE_PX and LEAST_SIDE_PX <= width <= MAX_SIDE_PX):
            raise VocabularyError(
                f"the sides of an exemplar's image must be {LEAST_SIDE_PX} to {MAX_SIDE_PX} pixels, not "
                f"{width}x{height}; give an image that shows the object"
            )
        if mask is None:
            return
        if mask.dtype != np.bool_:
            raise VocabularyError(f"an exemplar's mask must have the type bool, not {mask.dtype}")
        if mask.shape != (height, width):
            raise VocabularyError(
                f"the mask has the shape {mask.shape} and the image {(height, width)}; an exemplar's mask and image "
                "must be of one size"
            )
        if not mask.any():
            raise VocabularyError(
                "the exemplar's mask is empty; mark the object in it, or leave the mask out"
            )
        if (marked := int(mask.sum())) < LEAST_MASK_PX:
            raise VocabularyError(
                f"the exemplar's mask marks {marked} of {height * width} pixels and at least {LEAST_MASK_PX} are "
                "needed; mark the whole object in it"
            )


@dataclass(frozen=True)
class TargetClass:
    """One class of objects to detect.

    name: unique; published with each detection. prompts: phrases that describe the class; without any, the name is
    the prompt. threshold: 0..1, the least confidence of a pixel or instance; 0 means the default. exemplars: example
    images of the class. id: its value in label images, 1..65534 without 255; 0 lets the vocabulary choose one.
    negatives: phrases that win against the class: what fits one of them better than every prompt is not of the class.
    """

    name: str
    prompts: tuple[str, ...] = ()
    threshold: float = 0.0
    exemplars: tuple[Exemplar, ...] = ()
    id: int = 0
    negatives: tuple[str, ...] = ()

    @property
    def effective_prompts(self) -> tuple[str, ...]:
        """The prompts for the text encoder: those given or, without any prompt and exemplar, the name."""
        if self.prompts or self.exemplars:
            return self.prompts
        return (self.name,)


@dataclass(frozen=True)
class Vocabulary:
    """An immutable set of classes; `changed_to` returns the next one.

    ids[i] is the label value of classes[i]. version: grows by one with each accepted change; 0 before the first.
    stamp_ns: when it came into force, nanoseconds since the epoch. ids_given: the id of every name that ever had one,
    so that no id is reused.
    """

    classes: tuple[TargetClass, ...] = ()
    ids: tuple[int, ...] = ()
    version: int = 0
    stamp_ns: int = 0
    ids_given: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each class, in the order of `classes`."""
        return tuple(target.name for target in self.classes)

    @property
    def label_ids(self) -> LabelIds:
        """The ids with the dtype of a label image: np.uint8 while none is above 254."""
        return LabelIds.of(self.ids)

    @cached_property
    def precedence(self) -> Precedence:
        """Which classes win against others by their words, computed once."""
        return precedence_of([target.effective_prompts for target in self.classes])

    def thresholds(self, default: float) -> NDArray[np.float32]:
        """Return (K,) float32: the threshold of each class, `default` where it is 0."""
        return np.array([c.threshold or default for c in self.classes], dtype=np.float32)

    def without(self, names: Collection[str]) -> Vocabulary:
        """Return this version without the classes of these names, for a model that does not detect them."""
        left = [i for i, name in enumerate(self.names) if name not in names]
        return replace(
            self,
            classes=tuple(self.classes[i] for i in left),
            ids=tuple(self.ids[i] for i in left),
        )

    @classmethod
    def restored(
        cls,
        classes: Iterable[TargetClass],
        ids_given: Mapping[str, int],
        version: int,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Vocabulary:
        """Return a vocabulary that was in force in an earlier process.

        Raises VocabularyError for ids or a version that no vocabulary can have had, and as `changed_to` does.
        """
        names = {normalised(name): given for name, given in ids_given.items()}
        if len(names) < len(ids_given):
            raise VocabularyError("a name in ids occurs twice; take one of the two out")
        ids_given, times_given = names, Counter(names.values())
        for name, given in ids_given.items():
            if not 0 < given <= LAST_ID or given in NEVER_GIVEN or times_given[given] > 1:
                raise VocabularyError(
                    f"{quoted(name)} cannot have had the id {shown(given)}: ids are 1 to {LAST_ID} without 255, "
                    "one name each"
                )
        if not 1 <= version <= LAST_VERSION:
            raise VocabularyError(
                f"the version {shown(version)} is not 1 to {LAST_VERSION}; take the line with it out"
            )
        previous = cls(version=version - 1, ids_given=MappingProxyType(names))
        return previous.changed_to(classes, limits)

    def changed_to(
        self, classes: Iterable[TargetClass], limits: Limits = DEFAULT_LIMITS
    ) -> Vocabulary:
        """Return the next vocabulary. Names that ever had an id keep it; new names get ids that were never used.

        Raises VocabularyError when a name, prompt, threshold or id, or the number of classes, prompts or exemplars,
        is refused.
        """
        if self.version >= LAST_VERSION:
            raise VocabularyError(
                f"the version {LAST_VERSION} is the last one that messages can hold: end the node, take the line "
                "'version' out of its vocabulary_file, if it has one, and start it again"
            )
        checked = _checked(tuple(classes), limits)
        given = all_ids(((target.name, target.id) for target in checked), self.ids_given)
        ids = tuple(given[target.name] for target in checked)
        return Vocabulary(checked, ids, self.version + 1, ids_given=MappingProxyType(given))


def _checked(classes: tuple[TargetClass, ...], limits: Limits) -> tuple[TargetClass, ...]:
    if len(classes) > limits.classes:
        raise VocabularyError(
            f"{len(classes)} classes are too many; at most {limits.classes} are accepted"
        )
    total = sum(len(c.effective_prompts) + len(c.negatives) + len(c.exemplars) for c in classes)
    if total > limits.total_prompts:
        raise VocabularyError(
            f"{total} prompts, negatives and exemplars in all are too many; at most {limits.total_prompts} are "
            "accepted (max_total_prompts): give fewer prompts for each class"
        )
    cleaned = tuple(
        _checked_class(target, number, limits) for number, target in enumerate(classes, start=1)
    )
    names: set[str] = set()
    for target in cleaned:
        if target.name in names:
            raise VocabularyError(
                f"the name {quoted(target.name)} occurs twice; give each class a name of its own"
            )
        names.add(target.name)
    return cleaned


def _checked_class(target: TargetClass, number: int, limits: Limits) -> TargetClass:
    name = _checked_text(target.name, f"the name of class {number}", limits)
    what = f"class {quoted(name)}"
    for kind, texts in (("prompts", target.prompts), ("negatives", target.negatives)):
        if len(texts) > limits.prompts:
            raise VocabularyError(
                f"{what} has {len(texts)} {kind}; at most {limits.prompts} are accepted"
            )
    if len(target.exemplars) > limits.exemplars:
        raise VocabularyError(
            f"{what} has {len(target.exemplars)} exemplars; at most {limits.exemplars} are accepted"
        )
    if not (math.isfinite(target.threshold) and 0 <= target.threshold <= 1):
        raise VocabularyError(
            f"the threshold of {what} is {target.threshold}; it must be 0 (the default) to 1"
        )
    prompts = tuple(_checked_text(text, f"a prompt of {what}", limits) for text in target.prompts)
    negatives = tuple(_checked_text(t, f"a negative of {what}", limits) for t in target.negatives)
    checked = replace(target, name=name, prompts=prompts, negatives=negatives)
    own = set(map(compared, checked.effective_prompts))
    for negative in negatives:
        if compared(negative) in own:
            raise VocabularyError(
                f"{what} has {quoted(negative)} both as a prompt and as a negative; take it out of one of the two"
            )
    return replace(checked, threshold=float(target.threshold))


def checked_prompts(prompts: Iterable[str], limits: Limits = DEFAULT_LIMITS) -> tuple[str, ...]:
    """Return prompts without a vocabulary, cleaned as those of classes. Raises VocabularyError when one is refused."""
    given = tuple(prompts)
    if len(given) > limits.total_prompts:
        raise VocabularyError(
            f"{len(given)} prompts are too many; at most {limits.total_prompts} are accepted (max_total_prompts)"
        )
    return tuple(
        _checked_text(text, f"prompt {number}", limits) for number, text in enumerate(given, 1)
    )


def _checked_text(text: str, what: str, limits: Limits) -> str:
    cleaned = normalised(text)
    if not has_visible_character(cleaned):
        raise VocabularyError(f"{what} is empty; describe the object in words")
    if len(cleaned) > limits.characters:
        raise VocabularyError(
            f"{what} has {len(cleaned)} characters ({quoted(cleaned, 40)}); at most {limits.characters} are accepted"
        )
    if len(entries := entries_of(cleaned)) > 1:
        raise VocabularyError(
            f"{what} has a line break or a tab: {quoted(cleaned, 60)}; write it on one line, or, for several classes, "
            f"give a list: classes:=[{', '.join(map(shown, entries))}]"
        )
    if invisible := invisible_character(cleaned):
        raise VocabularyError(
            f"{what} has the character U+{ord(invisible):04X}, which cannot be printed: {quoted(cleaned, 60)}; "
            "take it out"
        )
    return cleaned
