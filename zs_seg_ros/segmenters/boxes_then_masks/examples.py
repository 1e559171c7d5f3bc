# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Example images in pairs of detector and mask model: their encoding, and one box per object they detect."""

from __future__ import annotations

import hashlib
from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from zs_seg_ros.segmenters.boxes_then_masks.boxes import Detector
from zs_seg_ros.segmenters.shared.instances import box_iou
from zs_seg_ros.vocabulary.vocabulary import Exemplar

_SAME_OBJECT = 0.3
"""The IoU above which transformers' `post_process_image_guided_detection` takes two boxes for one object."""


class ExampleDetector(Detector[Tensor]):
    """A detector whose encoded prompts are vectors (P, D), which it computes from example images, too."""

    @abstractmethod
    def encode_example(self, example: Exemplar) -> Tensor:
        """Encode an example image for `detect`, as `encode` does a phrase: (1, D)."""


def digest(example: Exemplar) -> bytes:
    """Return a key that two examples have in common when their images and masks are equal."""
    hashed = hashlib.sha256(str(example.image.shape).encode())
    hashed.update(example.image.tobytes())
    if example.mask is not None:
        hashed.update(np.packbits(example.mask).tobytes())
    return hashed.digest()


def one_box_per_object(boxes: NDArray[np.float32], most: int) -> list[int]:
    """Suppress boxes that overlap one of a higher score, and return the indices of the others, at most `most`.

    An example is similar to every patch of an object, where a phrase reaches its threshold at few of them. boxes: (N,
    4), left, top, right, bottom, in falling order of score.
    """
    kept: list[int] = []
    left = np.arange(len(boxes))
    while len(left) and len(kept) < most:
        first, left = int(left[0]), left[1:]
        kept.append(first)
        left = left[box_iou(boxes[first], boxes[left]) <= _SAME_OBJECT]
    return kept
