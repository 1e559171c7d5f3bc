# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A stand-in for a model, which matches colour words with pixel colours and needs neither torch nor files.

It serves tests of everything around a model, and trials of the ROS side where no model can run.
"""

from __future__ import annotations

import re
import time

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import VocabularyError
from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter
from zs_seg_ros.shown import quoted
from zs_seg_ros.types import Batch, Label, RgbImage, Segmentation
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (220, 30, 30),
    "green": (30, 160, 50),
    "blue": (30, 60, 220),
    "yellow": (240, 220, 40),
    "orange": (240, 130, 20),
    "purple": (120, 40, 160),
    "white": (245, 245, 245),
    "black": (15, 15, 15),
    "pink": (240, 130, 180),
    "brown": (110, 65, 30),
    "grey": (130, 130, 130),
    "cyan": (40, 200, 220),
}
"""The colour words and their RGB values."""

_OTHER_SPELLINGS = {"gray": "grey", "violet": "purple"}
_COLOURS = np.array(list(PALETTE.values()), dtype=np.float32)
_INDEX_OF_COLOUR = {word: index for index, word in enumerate(PALETTE)}
_DISTANCE_OF_ZERO_CONFIDENCE = 255.0

ColoursOfClasses = tuple[frozenset[int], ...]
"""For each class, the indices of its colours in `PALETTE`."""


class FakeSegmenter(Segmenter[ColoursOfClasses]):
    """A segmenter that labels with a class the pixels whose nearest palette colour is named in one of its prompts.

    A colour that one of its negatives names is not of a class. The confidence falls from 1 at the palette colour to 0
    at an RGB distance of 255. Among classes of the same colour the first one whose threshold is reached gets the pixel,
    those before the others that are more specific by their words.
    delay_s: how long `segment` sleeps, in seconds, to simulate a slow model.
    """

    model = "fake"
    device = "cpu"
    prompts_are_independent = True
    caution = (
        "the model fake only matches colour words with pixel colours; it is a stand-in for tests"
    )

    def __init__(self, delay_s: float = 0.0) -> None:
        self._delay_s = delay_s

    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[ColoursOfClasses]:
        """Map each class to its colours. Raises VocabularyError when a class comes with images."""
        for target in vocabulary.classes:
            if target.exemplars:
                raise VocabularyError(
                    f"class {quoted(target.name)} comes with example images, which the model "
                    f"{self.model} cannot use; describe it in words"
                )
        features = tuple(
            _colours_in(target.effective_prompts) - _colours_in(target.negatives)
            for target in vocabulary.classes
        )
        warnings = tuple(
            f"{quoted(name)} has no colour word that the model {self.model} knows and will not be detected; "
            f"it knows {', '.join(PALETTE)}"
            for name, colours in zip(vocabulary.names, features, strict=True)
            if not colours
        )
        return EncodedVocabulary(vocabulary, features, warnings)

    def segment(
        self, batch: Batch, encoded: EncodedVocabulary[ColoursOfClasses]
    ) -> list[Segmentation]:
        """Label each pixel by its nearest palette colour."""
        if self._delay_s > 0:
            time.sleep(self._delay_s)
        return [_segment(image, batch.thresholds, encoded) for image in batch.images]


def _colours_in(prompts: tuple[str, ...]) -> frozenset[int]:
    words = {word for prompt in prompts for word in re.findall(r"[a-z]+", prompt.lower())}
    known = {_OTHER_SPELLINGS.get(word, word) for word in words} & PALETTE.keys()
    return frozenset(_INDEX_OF_COLOUR[word] for word in known)


def _segment(
    image: RgbImage,
    thresholds: NDArray[np.float32],
    encoded: EncodedVocabulary[ColoursOfClasses],
) -> Segmentation:
    vocabulary = encoded.vocabulary
    nearest, confidence = _nearest_colours(image)
    label: Label = np.zeros(nearest.shape, vocabulary.label_ids.dtype)
    lowest_threshold = np.full(len(PALETTE), np.inf)
    for class_id, colours, threshold in zip(
        vocabulary.ids, encoded.features, thresholds, strict=True
    ):
        for colour in colours:
            # Otherwise an earlier class has taken every pixel that this one could get.
            if threshold < lowest_threshold[colour]:
                lowest_threshold[colour] = threshold
                label[(nearest == colour) & (confidence >= threshold) & (label == 0)] = class_id
    for general, specific in vocabulary.precedence.specific.items():
        of_general = label == vocabulary.ids[general]
        for index in specific:
            shared = np.isin(nearest, list(encoded.features[index]))
            wins = of_general & shared & (confidence >= thresholds[index])
            label[wins & (label == vocabulary.ids[general])] = vocabulary.ids[index]
    confidence_bytes = np.rint(confidence * 255).clip(min=1).astype(np.uint8) * (label > 0)
    return Segmentation(label, confidence_bytes)


def _nearest_colours(image: RgbImage) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Compute the index (H, W) of the nearest palette colour, and its confidence (H, W) in 0..1."""
    pixels = (image >> 8 if image.dtype.itemsize == 2 else image).astype(np.float32)
    # |p - c|² = |p|² - 2 p·c + |c|²; all terms are whole numbers below 2**24, so float32 is exact.
    partial = (_COLOURS**2).sum(axis=1) - 2 * (pixels @ _COLOURS.T)
    nearest = partial.argmin(axis=2)
    squared = (pixels**2).sum(axis=2) + np.take_along_axis(partial, nearest[..., None], 2)[..., 0]
    confidence: NDArray[np.float32] = np.clip(
        1 - np.sqrt(squared) / np.float32(_DISTANCE_OF_ZERO_CONFIDENCE), 0, 1
    )
    return nearest, confidence
