# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

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
