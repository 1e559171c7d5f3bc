# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Images of a camera that pans over a wall with a red poster, and the truth about each of them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.segmenters.fake import PALETTE

HEIGHT, WIDTH = 120, 160
_TOP, _LEFT, _HEIGHT, _WIDTH = 40, 90, 40, 50
_WALL_WIDTH = 800


def _wall() -> NDArray[np.uint8]:
    noise = np.random.default_rng(5).normal(0, 1, (HEIGHT, _WALL_WIDTH))
    blurred = cv2.GaussianBlur(noise, (0, 0), 3)
    grey = (130 + 35 * blurred / np.abs(blurred).max()).astype(np.uint8)
    wall = np.repeat(grey[..., None], 3, axis=2)
    poster = wall[_TOP : _TOP + _HEIGHT, _LEFT : _LEFT + _WIDTH]
    poster[:] = np.clip(np.array(PALETTE["red"]) + (poster.astype(int) - 130) // 2, 0, 255)
    return wall


WALL = _wall()


def view(shift: int) -> NDArray[np.uint8]:
    """The image of the camera after it has panned to the right by `shift` pixels."""
    return np.ascontiguousarray(WALL[:, shift : shift + WIDTH])


def poster(shift: int) -> NDArray[np.bool_]:
    """The pixels of the poster in that image."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[_TOP : _TOP + _HEIGHT, max(0, _LEFT - shift) : max(0, _LEFT + _WIDTH - shift)] = True
    return mask


def iou(label: NDArray[np.uint8], truth: NDArray[np.bool_]) -> float:
    """Return the IoU of what is labelled with the truth."""
    return float((truth & (label > 0)).sum() / (truth | (label > 0)).sum())
