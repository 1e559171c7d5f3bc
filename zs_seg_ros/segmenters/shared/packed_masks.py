# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Masks at full resolution on a device, and their download with one bit per pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.segmenters.instance_labels import cut_out
from zs_seg_ros.segmenters.shared.constants import constant_integers
from zs_seg_ros.types import Box, DetectedObject

_MASKS_PER_CHUNK = 16  # bounds GPU memory: 16 masks at a full resolution of 1280x720 are 59 MB
_BITS = (128, 64, 32, 16, 8, 4, 2, 1)
"""Of the pixels that share a byte, from left to right, as numpy's unpackbits reads them."""


def packed(masks: Tensor, size: tuple[int, int], inside: float) -> Tensor:
    """Resize masks (N, h, w) bilinearly to `size` (H, W): (N, H, W / 8 rounded up) uint8.

    A bit is set where the mask is above `inside`; those behind the last pixel of a row are not.
    """
    height, width = size
    bits = constant_integers(_BITS, masks.device, torch.uint8)
    chunks = [bits.new_zeros(0, height, -(-width // 8))]
    for chunk in torch.split(masks, _MASKS_PER_CHUNK):
        full = functional.interpolate(chunk[:, None].float(), size, mode="bilinear")[:, 0]
        on_mask = functional.pad((full > inside).to(torch.uint8), (0, -width % 8))
        octets = on_mask.view(*on_mask.shape[:-1], -1, 8)
        chunks.append((octets * bits).sum(dim=-1, dtype=torch.uint8))
    return torch.cat(chunks)


def cut_packed(mask: NDArray[np.uint8], score: float, class_id: int = 0) -> DetectedObject:
    """Cut a mask of `packed`, (H, W / 8), to its bounding box; that of an empty mask is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return cut_out(np.zeros((1, 1), bool), score, class_id)
    top, left = int(rows[0]), int(columns[0])
    around = np.ascontiguousarray(mask[top : rows[-1] + 1, left : columns[-1] + 1])
    detected = cut_out(np.unpackbits(around, axis=1).view(bool), score, class_id)
    box = detected.box
    moved = Box(box.left + 8 * left, box.top + top, box.width, box.height)
    return replace(detected, box=moved)
