# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Masks that hold together: what the logits around a pixel say about that pixel."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

_CELL, _CELLS = 3, 7
"""The window is 7 by 7 cells of 3 by 3 pixels of the logits; an object of `tabletop` is 10 to 60 pixels wide."""
_STEEPNESS = 12.0
_MOST_LOWERED = 3.0


def with_support(logits: Tensor, doubtful: float, sure: float, share: float) -> Tensor:
    """Raise logits (K, h, w) among sure ones of their prompt by up to -doubtful; lower those among doubtful ones.

    A logit is raised where of the logits above `doubtful` in a window around it more than `share` are above `sure`. So
    holes in an object are filled, and an object of which few pixels fit is left out. It is hysteresis (Canny 1986),
    by shares instead of connected areas, which a GPU would have to trace.
    """
    sure_there, doubtful_there = (_mean_around(logits > limit) for limit in (sure, doubtful))
    supporting = sure_there / doubtful_there.clamp(min=1e-6)
    size = (_CELL * supporting.shape[-2], _CELL * supporting.shape[-1])
    smooth = functional.interpolate(supporting[None], size, mode="bilinear")[0]
    height, width = logits.shape[-2:]
    change = _STEEPNESS * (smooth[:, :height, :width] - share)
    return logits + change.clamp(-_MOST_LOWERED, -doubtful)


def _mean_around(values: Tensor) -> Tensor:
    """Average values (K, h, w) over the window of each cell, or over what of it is in the image."""
    cells = functional.avg_pool2d(values.float(), _CELL, ceil_mode=True, count_include_pad=False)
    return functional.avg_pool2d(cells, _CELLS, 1, _CELLS // 2, count_include_pad=False)
