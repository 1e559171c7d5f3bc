"""What to look for: names, the phrases and images that describe them, and ids that are never reused."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import VocabularyError

NEVER_GIVEN = frozenset({0, 255, 65535})
"""0 is 'nothing'; 255 and 65535 mean 'unknown' to costmaps and data sets."""
LAST_ID_IN_8_BITS = 254
LAST_ID = 65534


@dataclass(frozen=True)
class Limits:
    """The most that a vocabulary may ask for, so that no caller can take all time or memory.

    classes; prompts and exemplars of one class; characters of a name or prompt. Text encoders read 77 tokens (CLIP) or
    fewer: a model refuses what is longer than it reads.
    """

    classes: int = 1000
    prompts: int = 32
    exemplars: int = 8
    characters: int = 300


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, eq=False)
class Exemplar:
    """An image of a thing. image: (H, W, 3) uint8 RGB; mask: (H, W) bool, None for the whole image."""

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class TargetClass:
    """One thing to look for.

    name: unique, what planners see. prompts: phrases that describe it; none means the name itself.
    threshold: 0..1, less certain pixels stay unlabelled; 0 means the default. exemplars: images of it.
    """

    name: str
    prompts: tuple[str, ...] = ()
    threshold: float = 0.0
    exemplars: tuple[Exemplar, ...] = ()

    @property
    def effective_prompts(self) -> tuple[str, ...]:
        """The words to search by: the prompts or, without any prompt and image, the name."""
        if self.prompts or self.exemplars:
            return self.prompts
        return (self.name,)


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
        """Ids with the dtype that holds them: np.uint8 up to 254, np.uint16 above."""
        values = tuple(values)
        fits_8_bits = max(values, default=0) <= LAST_ID_IN_8_BITS
        return cls(values, np.dtype(np.uint8) if fits_8_bits else np.dtype(np.uint16))

    def of_classes(self, indices: Iterable[int]) -> LabelIds:
        """The ids of the classes with these indices, in their order; the dtype stays."""
        return replace(self, values=tuple(self.values[index] for index in indices))


@dataclass(frozen=True)
class Vocabulary:
    """The classes in force, unchangeable; `changed_to` makes the next one.

    ids[i] is the label value of classes[i]. version grows by one with each accepted change; 0: none set yet.
    stamp_ns: when it came into force. ids_given: every name that ever had an id, so that none is reused.
    """

    classes: tuple[TargetClass, ...] = ()
    ids: tuple[int, ...] = ()
    version: int = 0
    stamp_ns: int = 0
    ids_given: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(target.name for target in self.classes)

    @property
    def label_ids(self) -> LabelIds:
        """The ids with the dtype of a label image: np.uint8 while none is above 254."""
        return LabelIds.of(self.ids)

    def thresholds(self, default: float) -> NDArray[np.float32]:
        """(K,) float32: each class's threshold, `default` where it has none."""
        return np.array([c.threshold or default for c in self.classes], dtype=np.float32)

    @classmethod
    def restored(
        cls,
        classes: Iterable[TargetClass],
        ids_given: Mapping[str, int],
        version: int,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Vocabulary:
        """One that was in force in an earlier process. Raises VocabularyError when no such one can have been."""
        times_given = Counter(ids_given.values())
        for name, given in ids_given.items():
            if not 0 < given <= LAST_ID or given in NEVER_GIVEN or times_given[given] > 1:
                raise VocabularyError(
                    f"{name!r} cannot have had the id {given}: ids are 1 to {LAST_ID} without 255, one name each"
                )
        if version < 1:
            raise VocabularyError(f"the version {version} is not 1 or more")
        before = cls(version=version - 1, ids_given=MappingProxyType(dict(ids_given)))
        return before.changed_to(classes, limits)

    def changed_to(
        self, classes: Iterable[TargetClass], limits: Limits = DEFAULT_LIMITS
    ) -> Vocabulary:
        """The next vocabulary. Names that had an id keep it, new names get ids that nobody had.

        Raises VocabularyError, and leaves this vocabulary as it is, when a name, phrase, threshold or the
        number of them is not acceptable.
        """
        checked = _checked(tuple(classes), limits)
        given = dict(self.ids_given)
        free = _free_ids(after=max(given.values(), default=0))
        for target in checked:
            if target.name not in given:
                new_id = next(free, None)
                if new_id is None:
                    raise VocabularyError(
                        f"there is no id left for {target.name!r}: {LAST_ID - 1} names were given one since "
                        "the node started; restart it"
                    )
                given[target.name] = new_id
        ids = tuple(given[target.name] for target in checked)
        return Vocabulary(checked, ids, self.version + 1, ids_given=MappingProxyType(given))


def _free_ids(after: int) -> Iterator[int]:
    return (i for i in range(after + 1, LAST_ID + 1) if i not in NEVER_GIVEN)


def _checked(classes: tuple[TargetClass, ...], limits: Limits) -> tuple[TargetClass, ...]:
    if len(classes) > limits.classes:
        raise VocabularyError(
            f"{len(classes)} classes are too many; at most {limits.classes} are taken"
        )
    cleaned = tuple(
        _checked_class(target, number, limits) for number, target in enumerate(classes, start=1)
    )
    seen: set[str] = set()
    for target in cleaned:
        if target.name in seen:
            raise VocabularyError(
                f"the name {target.name!r} occurs twice; give each class a name of its own"
            )
        seen.add(target.name)
    return cleaned


def _checked_class(target: TargetClass, number: int, limits: Limits) -> TargetClass:
    name = _checked_text(target.name, f"the name of class {number}", limits)
    what = f"class {name!r}"
    if len(target.prompts) > limits.prompts:
        raise VocabularyError(
            f"{what} has {len(target.prompts)} prompts; at most {limits.prompts} are taken"
        )
    if len(target.exemplars) > limits.exemplars:
        raise VocabularyError(
            f"{what} has {len(target.exemplars)} exemplars; at most {limits.exemplars} are taken"
        )
    if not (math.isfinite(target.threshold) and 0 <= target.threshold <= 1):
        raise VocabularyError(
            f"the threshold of {what} is {target.threshold}; it must be 0 (the default) to 1"
        )
    prompts = tuple(_checked_text(text, f"a prompt of {what}", limits) for text in target.prompts)
    return TargetClass(name, prompts, float(target.threshold), target.exemplars)


def _checked_text(text: str, what: str, limits: Limits) -> str:
    cleaned = " ".join(text.split())
    if not cleaned:
        raise VocabularyError(f"{what} is empty; describe the thing in words")
    if len(cleaned) > limits.characters:
        raise VocabularyError(
            f"{what} has {len(cleaned)} characters ({cleaned[:40]!r}…); at most {limits.characters} are taken"
        )
    if not cleaned.isprintable():
        raise VocabularyError(f"{what} has characters that cannot be printed: {cleaned[:60]!r}")
    return cleaned
