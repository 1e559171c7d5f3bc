# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The size that images are resized to for a dense model."""

from __future__ import annotations

SIZE_MULTIPLE_PX = 16
_MOST_TIMES_SHORT_SIDE = 4


def size_of_short_side(height: int, width: int, side: int) -> tuple[int, int]:
    """Choose a size with this short side in the image's proportions, with sides in multiples of 16.

    The long side of a very narrow image is bounded, so that it takes at most four times as long as a square.
    """
    longest = _MOST_TIMES_SHORT_SIDE * side
    scale = side / min(height, width)
    rows, columns = (
        min(round(length * scale / SIZE_MULTIPLE_PX) * SIZE_MULTIPLE_PX, longest)
        for length in (height, width)
    )
    return rows, columns


def working_size(height: int, width: int, pixels: int) -> tuple[int, int]:
    """Choose a size of about `pixels` pixels in the image's proportions, with sides in multiples of 16."""
    scale = (pixels / (height * width)) ** 0.5
    # The sides of a very narrow image are bounded, too, so that its area stays near `pixels`.
    sides = (max(1, round(side * scale / SIZE_MULTIPLE_PX)) for side in (height, width))
    rows, columns = (min(side * SIZE_MULTIPLE_PX, pixels // SIZE_MULTIPLE_PX) for side in sides)
    return rows, columns
