# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Limits of the size of images, checked before memory for the pixels is allocated."""

from __future__ import annotations

from dataclasses import dataclass

from zs_seg_ros.errors import ImageError
from zs_seg_ros.vocabulary.vocabulary import MAX_PIXELS, MAX_SIDE_PX


@dataclass(frozen=True)
class ImageLimits:
    """The largest side and the largest number of pixels of an image: max_image_side and max_image_pixels."""

    side: int = MAX_SIDE_PX
    pixels: int = MAX_PIXELS

    def check(self, width: int, height: int) -> None:
        """Raise ImageError unless an image of this size is read."""
        if not (height > 0 and width > 0):
            raise ImageError(f"an image of {width}x{height} pixels is dropped: it has none")
        if max(width, height) > self.side:
            raise ImageError(
                f"an image of {width}x{height} pixels is dropped: its sides may be at most {self.side} "
                "(max_image_side)"
            )
        if width * height > self.pixels:
            raise ImageError(
                f"an image of {width}x{height} pixels is dropped: at most {self.pixels} pixels are read "
                "(max_image_pixels)"
            )


DEFAULT_IMAGE_LIMITS = ImageLimits()
