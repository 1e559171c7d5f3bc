# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Checks a vocabulary on images without labels: which classes are confused, contained in each other, or never there.

Each class is segmented alone: together, each pixel has one class, and what two of them share cannot be seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import EvaluationError
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.recovery import recovering
from zs_seg_ros.shown import quoted
from zs_seg_ros.types import Batch, RgbImage
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

CONFUSED_IOU = 0.5
"""Two classes are reported as painting the same pixels from this IoU on."""
CONTAINED_SHARE = 0.8
"""A class is reported as contained in another from this share of its pixels on."""
EVERYWHERE_SHARE = 0.5
"""A class is reported as labelling everything from this share of all pixels on."""
_LEAST_SHARE = 1e-4
"""Of all pixels: a class with fewer is not judged."""
_SAMPLES = 20_000
"""Pixels of an image that are compared, evenly spread, so that a thousand classes fit in memory."""


@dataclass(frozen=True, eq=False)
class VocabularyCheck:
    """What the classes of a vocabulary label when each is alone.

    overlaps: (K, K) pixels that two classes share, on the diagonal those of each class. pixels: of all images.
    images_with: (K,) images where a class labels anything.
    """

    names: tuple[str, ...]
    images: int
    pixels: int
    overlaps: NDArray[np.int64]
    images_with: NDArray[np.int64]

    def values(self) -> dict[str, Any]:
        """Return the counts and findings as values that JSON can hold."""
        return {
            "images": self.images,
            "pixels": self.pixels,
            "classes": [
                {"name": name, "pixels": int(area), "images": int(count)}
                for name, area, count in zip(
                    self.names, self.overlaps.diagonal(), self.images_with, strict=True
                )
            ],
            "overlaps": self.overlaps.tolist(),
            "findings": list(self.findings()),
        }

    def findings(self) -> tuple[str, ...]:
        """Return what to change in the vocabulary, one sentence each: pairs first, the most similar ones first."""
        return (*self._pairs(), *self._single_classes())

    def _pairs(self) -> list[str]:
        ranked = []
        areas = self.overlaps.diagonal()
        judged = np.flatnonzero(areas >= max(1, _LEAST_SHARE * self.pixels))
        for place, first in enumerate(judged):
            for second in judged[place + 1 :]:
                shared = int(self.overlaps[first, second])
                iou = shared / int(areas[first] + areas[second] - shared)
                small, large = sorted((first, second), key=lambda k: (areas[k], k))
                share = shared / int(areas[small])
                if iou >= CONFUSED_IOU:
                    text = (
                        f"{quoted(self.names[first])} and {quoted(self.names[second])} label the same pixels (IoU "
                        f"{iou:.2f}): make them one class, or describe the difference"
                    )
                elif share >= CONTAINED_SHARE:
                    text = (
                        f"{quoted(self.names[small])} is contained in {quoted(self.names[large])} ({share:.0%} of its "
                        "pixels): the more confident one gets them; give the larger one the smaller one as a negative"
                    )
                else:
                    continue
                ranked.append((-max(iou, share), text))
        return [text for _, text in sorted(ranked)]

    def _single_classes(self) -> list[str]:
        texts = []
        for name, area in zip(self.names, self.overlaps.diagonal(), strict=True):
            if not area:
                texts.append(
                    f"{quoted(name)} is in no image: lower its threshold, try other words, or leave it out"
                )
            elif area >= EVERYWHERE_SHARE * self.pixels:
                texts.append(
                    f"{quoted(name)} labels {area / self.pixels:.0%} of all pixels: raise its threshold, or name "
                    "what it looks like"
                )
        return texts

    def table(self) -> str:
        """Return a line per class and the findings, for the terminal."""
        names = [quoted(name) for name in self.names]
        width = max(len("class"), *map(len, names))
        lines = [f"{'class':<{width}}  images  pixels"]
        for name, area, count in zip(
            names, self.overlaps.diagonal(), self.images_with, strict=True
        ):
            lines.append(f"{name:<{width}}  {count:>6}  {area / self.pixels:6.2%}")
        sentences = self.findings()
        lines += ["", *(sentences or ("No two classes label the same pixels, and each is there.",))]
        return "\n".join(lines)


def check_vocabulary(
    images: Iterable[RgbImage], segmenter: Segmenter[Any], vocabulary: Vocabulary, threshold: float
) -> VocabularyCheck:
    """Segment each image with each class alone, and count what they share.

    Raises EvaluationError without classes or images, and what the model raises.
    """
    if not vocabulary.classes:
        raise EvaluationError(
            "the vocabulary has no class to check: give --classes, or --vocabulary"
        )
    with recovering(segmenter):
        alone = [segmenter.encode(Vocabulary().changed_to([c])) for c in vocabulary.classes]
    count = len(alone)
    overlaps, images_with = np.zeros((count, count), np.int64), np.zeros(count, np.int64)
    number = pixels = 0
    for image in images:
        number += 1
        step = max(1, round(math.sqrt(image.shape[0] * image.shape[1] / _SAMPLES)))
        masks = []
        for index, encoded in enumerate(alone):
            batch = Batch((image,), encoded.vocabulary.thresholds(threshold))
            with recovering(segmenter):
                [segmentation] = segmenter.segment(batch, encoded)
            images_with[index] += bool(segmentation.label.any())
            masks.append(segmentation.label[::step, ::step].ravel() > 0)
        stacked = np.stack(masks).astype(np.float32)
        overlaps += np.rint(stacked @ stacked.T).astype(np.int64) * step**2
        pixels += stacked.shape[1] * step**2
    if not number:
        raise EvaluationError(
            "there is no image to check the vocabulary on: name a folder of images"
        )
    return VocabularyCheck(vocabulary.names, number, pixels, overlaps, images_with)
