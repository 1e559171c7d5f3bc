# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Image preprocessing of OWLv2: padding to a square below and to the right, smoothing, and resizing.

It is the arithmetic of transformers' processor and of the authors' code, which call scipy, in torch on the device.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.segmenters.shared.image_tensors import upload
from zs_seg_ros.types import RgbImage

_RADIUS_IN_SIGMAS = 4  # where scipy.ndimage.gaussian_filter truncates a Gaussian


def prepare_square(
    images: Sequence[RgbImage], side: int, mean: Tensor, std: Tensor, dtype: torch.dtype
) -> Tensor:
    """Prepare images for OWLv2: (B, 3, side, side) of `dtype`, on the device of `mean`.

    mean and std: (3,) float32, of R, G, B in 0..1.
    """
    squares = torch.stack([_square(image, side, mean.device) for image in images])
    return ((squares - mean[:, None, None]) / std[:, None, None]).to(dtype)


def _square(image: RgbImage, side: int, device: torch.device) -> Tensor:
    """Pad an image with black to a square and resize it: (3, side, side) float32 in 0..1."""
    values = upload(image, device).float() / np.iinfo(image.dtype).max
    height, width = values.shape[1:]
    longest = max(height, width)
    values = functional.pad(values, (0, longest - width, 0, longest - height))
    values = _smoothed(values, sigma=(longest / side - 1) / 2)
    return _resampled(_resampled(values, side, axis=1), side, axis=2)


def _smoothed(values: Tensor, sigma: float) -> Tensor:
    """Smooth (3, n, n) with a Gaussian of `sigma` pixels; the border reflects without repeating its pixels."""
    radius = int(_RADIUS_IN_SIGMAS * sigma + 0.5)
    if radius <= 0:
        return values
    offsets = torch.arange(-radius, radius + 1, device=values.device, dtype=torch.float64)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    weights = (weights / weights.sum()).float()
    channels = functional.pad(values[:, None], (radius,) * 4, mode="reflect")
    columns = functional.conv2d(channels, weights.view(1, 1, -1, 1))
    return functional.conv2d(columns, weights.view(1, 1, 1, -1))[:, 0]


def _resampled(values: Tensor, length: int, axis: int) -> Tensor:
    """Interpolate linearly along an axis to `length`; the border reflects without repeating its pixels."""
    last = values.shape[axis] - 1
    index = torch.arange(length, device=values.device, dtype=torch.float64)
    position = ((index + 0.5) * (last + 1) / length - 0.5).abs()
    position = (last - (last - position).abs()).clamp(min=0)
    below = position.floor().long()
    weight = (position - below).float()
    low = values.index_select(axis, below)
    high = values.index_select(axis, (below + 1).clamp(max=last))
    shape = [1, 1, 1]
    shape[axis] = length
    return low.lerp(high, weight.view(shape))
