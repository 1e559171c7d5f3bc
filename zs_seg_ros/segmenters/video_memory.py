# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.


"""Objects that a model remembers from image to image, and the interface of the segmenters that follow them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.types import DetectedObject, RgbImage


class VideoMemory(ABC):
    """The memory of one object. Its size does not depend on how long the object is followed."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """The bytes that it takes on the model's device."""


class VideoFollower(ABC):
    """Objects followed by a video memory, offered by the segmenters of some families beside `Segmenter`.

    Thread-safe like a `Segmenter`, as long as the images of one memory come in their order.
    """

    @property
    @abstractmethod
    def has_video_memory(self) -> bool:
        """Whether the loaded checkpoint holds the weights of a memory; without them nothing else is called."""

    @abstractmethod
    def remember(
        self, image: RgbImage, masks: Sequence[NDArray[np.bool_]]
    ) -> tuple[VideoMemory, ...]:
        """Return the memories of the objects with these masks (H, W), none of them empty, in an image."""

    @abstractmethod
    def follow(
        self, image: RgbImage, memories: Sequence[VideoMemory]
    ) -> tuple[DetectedObject | None, ...]:
        """Return each object as the next image shows it, and add the image to its memory.

        The score is the probability that the object is in the image. None: it is not; a later image may show it again.
        """


def video_follower_of(segmenter: Segmenter[Any] | None) -> VideoFollower | None:
    """Return the part of a segmenter that follows objects by a video memory; None where it has none."""
    if isinstance(segmenter, VideoFollower) and segmenter.has_video_memory:
        return segmenter
    return None
