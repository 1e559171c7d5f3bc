"""A loaded model with an encoded vocabulary, for commands that work through files with one of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.recovery import recovering
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.vocabulary.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A loaded model, and the vocabulary encoded by it."""

    segmenter: Segmenter[Any]
    encoded: EncodedVocabulary[Any]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the model and the vocabulary, for the user."""
        return tuple(filter(None, (self.segmenter.caution, *self.encoded.all_warnings)))


def load_model(model: str, options: LoadOptions, vocabulary: Vocabulary) -> LoadedModel:
    """Load the model and encode the vocabulary. Raises ModelError, or VocabularyError when the model refuses it."""
    segmenter = load_segmenter(model, options)
    with recovering(segmenter):
        return LoadedModel(segmenter, segmenter.encode(vocabulary))
