# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Visual prompts: example images, processed so that CLIPSeg's image encoder embeds the object in them.

After Lüddecke & Ecker 2022, "Image Segmentation Using Text and Image Prompts", section "Visual prompt
engineering": of all variants that they compared, the best was an image whose background is darkened to a tenth and
blurred, cropped to the object with some context.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# The values that the published weights were trained with ("crop_blur_highlight352" in the authors' code). The authors
# darken normalised pixels, so that a darker background is nearer to the mean colour, not to black.
_BACKGROUND = 0.1
_CONTEXT = 0.1
_BLUR = 3 / 352
"""Standard deviation, as a share of the image's shorter side."""


def visual_prompt(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], mean: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Crop `image` to a square around the object, with the background blurred and faded.

    image: (H, W, 3) RGB. mask: (H, W), true on the object, at least at one pixel. mean: the model's mean colour,
    0..1, which the background fades to and with which borders are padded. Returns (S, S, 3).
    """
    colour = np.array(mean, dtype=np.float32) * 255
    pixels = image.astype(np.float32)
    blurred = cv2.GaussianBlur(pixels, (0, 0), _BLUR * min(mask.shape))
    faded = colour + _BACKGROUND * (blurred - colour)
    highlighted = np.where(mask[..., None], pixels, faded)
    rows, columns = _span(mask.any(axis=1)), _span(mask.any(axis=0))
    crop = highlighted[rows, columns]
    height, width = crop.shape[:2]
    side = max(height, width)
    square = np.full((side, side, 3), colour, dtype=np.float32)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = crop
    return square.round().astype(np.uint8)


def _span(occupied: NDArray[np.bool_]) -> slice:
    """Find the first to the last true element, widened by a tenth of that length on both sides."""
    positions = np.flatnonzero(occupied)
    first, end = int(positions[0]), int(positions[-1]) + 1
    context = round(_CONTEXT * (end - first))
    return slice(max(0, first - context), min(len(occupied), end + context))
