"""The one small interface that every family of models implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

from zs_seg_ros.types import Batch, Segmentation
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

Features = TypeVar("Features")


@dataclass(frozen=True, eq=False)
class EncodedVocabulary(Generic[Features]):
    """A vocabulary as one segmenter understands it, made once per change.

    features: the family's own, for example text embeddings. warnings: sentences for the person who set it.
    """

    vocabulary: Vocabulary
    features: Features
    warnings: tuple[str, ...] = ()


class Segmenter(ABC, Generic[Features]):
    """Finds the classes of an encoded vocabulary in images.

    `encode` and `segment` may be called from several threads at once; nothing is called after `close`.
    """

    model: str
    """The model as the user named it."""
    device: str
    """Where it runs, for example 'cpu' or 'cuda:0'."""
    caution: str = ""
    """What every user of this model must know, in one sentence; shown in log and diagnostics."""

    only_names: tuple[str, ...] = ()
    """The names that a closed-set model knows; empty for a model that takes any words."""

    @abstractmethod
    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[Features]:
        """Prepare a vocabulary. Raises VocabularyError when this model cannot search for it."""

    @abstractmethod
    def segment(self, batch: Batch, encoded: EncodedVocabulary[Features]) -> list[Segmentation]:
        """One segmentation per image, in order and at the image's own size."""

    def recover(self, error: Exception) -> Exception:
        """What to tell people about an error of `encode` or `segment`; also frees memory if that was the trouble."""
        return error

    def close(self) -> None:
        """Free memory. The segmenter is not used afterwards."""
