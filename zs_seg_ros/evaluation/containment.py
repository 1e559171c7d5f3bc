# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Whether the area of a class lies inside that of the class which its pixels are labelled as."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.recovery import recovering
from zs_seg_ros.types import Batch, RgbImage
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

MOST_IMAGES = 16
"""Images that are kept at a time, which bounds the memory."""


class ConfusedImages:
    """For each class the image in which most of its pixels are labelled as another class."""

    def __init__(self) -> None:
        self._images: dict[int, tuple[int, RgbImage]] = {}

    def add(self, image: RgbImage, confusion: NDArray[np.int64]) -> None:
        """Keep an image if it is needed. confusion: of this image, as of `PixelScores`."""
        wrong = confusion.copy()
        wrong[:, 0] = 0
        np.fill_diagonal(wrong, 0)
        pixels = wrong.sum(axis=1)
        for number in np.flatnonzero(pixels[1:]) + 1:
            before, _ = self._images.get(int(number), (0, image))
            if pixels[number] > before:
                self._images[int(number)] = int(pixels[number]), image
        while len(self._images) > MOST_IMAGES:
            del self._images[min(self._images, key=lambda number: self._images[number][0])]

    def get(self, number: int) -> RgbImage | None:
        """Return the image of the class with this number, from 1; None without any."""
        return self._images[number][1] if number in self._images else None


def share_inside(
    segmenter: Segmenter[Any],
    vocabulary: Vocabulary,
    threshold: float,
    image: RgbImage,
    names: tuple[str, str],
) -> float:
    """Return the share, 0 to 1, of the first class's area that lies inside the second one's; 0 for no area.

    Each class is segmented alone, since together one of the two has each pixel. threshold: of classes without one.
    """
    areas = []
    for name in names:
        alone = vocabulary.without([other for other in vocabulary.names if other != name])
        with recovering(segmenter):
            batch = Batch((image,), alone.thresholds(threshold))
            [segmentation] = segmenter.segment(batch, segmenter.encode(alone))
        areas.append(segmentation.label > 0)
    first, second = areas
    return float(np.count_nonzero(first & second) / max(1, np.count_nonzero(first)))
