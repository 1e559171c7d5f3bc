# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Images of bytes, resized and normalised in C: src/resized_image.c."""

from __future__ import annotations

import ctypes
from ctypes import c_int32, c_int64, c_void_p
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.kernels import Kernels
from zs_seg_ros.segmenters.shared.preprocessing import Resample
from zs_seg_ros.segmenters.shared.processor import this_processor
from zs_seg_ros.types import RgbImage

_TOGETHER, _LOADED = 4, 16
"""As in src/resized_image.c."""
_MOST_BITS, _BITS_OF_WEIGHT = 22, 15
"""Of sums, as Pillow and torch have it, and of weights without their sign, as torch has it."""


class _Image(ctypes.Structure):
    """`image_t` of src/resized_image.c."""

    _fields_ = (
        ("pixels", c_void_p),
        *((name, c_int32) for name in ("height", "width", "of_channel", "of_pixel")),
        ("of_row", c_int64),
    )


class Axis(ctypes.Structure):
    """`axis_t` of src/resized_image.c: of which rows or columns those of the resized image are sums."""

    _fields_ = (
        *((name, c_int32) for name in ("length", "taps", "bits")),
        *((name, c_void_p) for name in ("first", "weights")),
    )

    def __init__(
        self,
        length: int,
        taps: int,
        bits: int,
        first: NDArray[np.int32],
        weights: NDArray[np.int16],
    ) -> None:
        self._arrays = first, weights  # which the pointers are to
        super().__init__(length, taps, bits, first.ctypes.data, weights.ctypes.data)


def resized_and_normalised(
    kernels: Kernels,
    image: RgbImage,
    size: tuple[int, int],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    resample: Resample,
) -> NDArray[np.float32] | None:
    """Resize (H, W, 3) bytes to `size`, scale to 0..1 and normalise by `mean` and `std` (3,): (3, height, width).

    The bytes are those of torch. None where torch is to resize: without AVX2, and for other strides than those of RGB,
    BGR, a fourth channel, or grey. Raises MemoryError.
    """
    if "avx2" not in this_processor().flags:
        return None
    order = slice(None, None, -1 if image.strides[2] < 0 else 1)  # of a bgr8 message, viewed as RGB
    image = image[..., order]
    of_row, of_pixel, of_channel = image.strides
    # All bytes of four pixels are in a vector.
    if not (of_pixel >= 0 and of_channel >= 0 and 3 * of_pixel + 2 * of_channel < _LOADED):
        return None
    height, width = image.shape[:2]
    layout = _Image(image.ctypes.data, height, width, of_channel, of_pixel, of_row)
    columns, rows = _columns(width, size[1], resample, of_pixel), _rows(height, size[0], resample)
    planes = np.empty((3, *size), np.float32)
    kernels.resize((layout, columns, rows), mean[order], std[order], planes[order])
    return planes


@lru_cache(maxsize=64)
def _rows(height: int, new_height: int, resample: Resample) -> Axis:
    first, weights, bits = _sums(height, new_height, resample)
    padded = _padded(weights, 1, 2)
    length, taps = padded.shape
    return Axis(length, taps, bits, first, padded)


@lru_cache(maxsize=64)
def _columns(width: int, new_width: int, resample: Resample, of_pixel: int) -> Axis:
    first, weights, bits = _sums(width, new_width, resample)
    padded = _padded(weights, _TOGETHER, _TOGETHER)
    columns, taps = padded.shape
    pairs = padded.reshape(-1, _TOGETHER, taps // 2, 1, 2).swapaxes(1, 2)
    repeated = pairs.repeat(_LOADED // (2 * padded.itemsize), axis=3)
    first_bytes = np.pad(first * np.int32(of_pixel), (0, columns - new_width))
    return Axis(new_width, taps, bits, first_bytes, np.ascontiguousarray(repeated))


def _padded(array: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """Append zeros to (H, W) until H and W are multiples of `rows` and `columns`."""
    height, width = array.shape
    return np.pad(array, ((0, -height % rows), (0, -width % columns)))


def _sums(
    full_length: int, length: int, resample: Resample
) -> tuple[NDArray[np.int32], NDArray[np.int16], int]:
    """Return of which pixels each of `length` is the sum, to the bit as torch has it for bytes, with antialiasing.

    The first pixel of each, (length,), the weights of that and the next ones, (length, taps), and how many bits of a
    weight are behind its point.
    """
    scale = full_length / length
    stretch = max(scale, 1.0)
    support = stretch * _SUPPORT[resample]
    centres = scale * (np.arange(length) + 0.5)
    first = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    counts = np.minimum((centres + support + 0.5).astype(np.int64), full_length) - first
    taps = np.arange(counts.max())
    distances = np.abs((taps + (first - centres)[:, None] + 0.5) * (1 / stretch))
    weights = np.where(taps < counts[:, None], _FILTERS[resample](distances), 0)
    weights /= np.cumsum(weights, axis=1)[:, -1:]  # one by one, as torch adds them
    bits = next(
        bits
        for bits in range(_MOST_BITS + 1)
        if bits == _MOST_BITS or int(0.5 + weights.max() * 2.0 ** (bits + 1)) >= 2**_BITS_OF_WEIGHT
    )
    scaled = weights * 2.0**bits
    rounded = np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int16)
    return first.astype(np.int32), rounded, bits


def _linear(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(1 - x, 0)


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys 1981, "Cubic convolution interpolation for digital image processing", with a = -0.5 as Pillow has it."""
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


_FILTERS, _SUPPORT = {"bilinear": _linear, "bicubic": _cubic}, {"bilinear": 1, "bicubic": 2}
