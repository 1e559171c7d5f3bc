# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Detection of a kept object by its exemplar, in images in which its video memory does not find it any more."""

from __future__ import annotations

from typing import Any

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.perception.kept_matching import objects_of
from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter
from zs_seg_ros.types import Batch, DetectedObject, RgbImage
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

_LEAST_SHARE = 0.9
"""Of the best score in the object's own image. Scores of examples are high where anything is a little alike, so that a
threshold for words would let the search find something in every image."""


class ExemplarSearch:
    """The class of one kept object as the model encoded it. It is encoded when it is searched for the first time.

    A model that refuses it, or that failed with it, does not search for it again before the class changes.
    """

    def __init__(self) -> None:
        self._target: TargetClass | None = None
        self._encoded: EncodedVocabulary[Any] | None = None
        self._least_score = 0.0

    def detect(
        self,
        image: RgbImage,
        vocabulary: Vocabulary,
        segmenter: Segmenter[Any],
        default_threshold: float,
    ) -> list[DetectedObject]:
        """Return what the model detects of the only class of a vocabulary in an image, most confident first.

        What has less than _LEAST_SHARE of the best score in the first exemplar's own image is left out, and everything
        where nothing is detected there. Raises what the model raises.
        """
        [target] = vocabulary.classes

        def detected_in(searched: RgbImage, by: EncodedVocabulary[Any]) -> list[DetectedObject]:
            batch = Batch((searched,), vocabulary.thresholds(default_threshold))
            [segmentation] = segmenter.segment(batch, by)
            return objects_of(segmentation, vocabulary.ids, min_area=1)

        encoded, self._encoded = self._encoded, None
        if target is not self._target:
            self._target, encoded = target, _accepted(segmenter, vocabulary)
            self._least_score = 0.0
            if encoded is not None and target.exemplars:
                own = detected_in(target.exemplars[0].image, encoded)
                self._least_score = _LEAST_SHARE * own[0].score if own else float("inf")
        if encoded is None:
            return []
        detected = detected_in(image, encoded)
        self._encoded = encoded
        return [each for each in detected if each.score >= self._least_score]


def _accepted(segmenter: Segmenter[Any], vocabulary: Vocabulary) -> EncodedVocabulary[Any] | None:
    """Return an encoded vocabulary; None where the model takes no exemplars."""
    try:
        return segmenter.encode(vocabulary)
    except VocabularyError:
        return None
