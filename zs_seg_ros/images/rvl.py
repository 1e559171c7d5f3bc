# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Decodes RVL, the depth compression of image_transport.

Source: A. Wilson, "Fast Lossless Depth Image Compression", ISS 2017.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.image_limits import ImageLimits

_HEADER_BYTES = 8
_MOST_NIBBLES = 10  # 30 bits


def decode_rvl(data: memoryview, limits: ImageLimits) -> NDArray[np.uint16]:
    """Return the (H, W) depth values of an RVL stream, which begins with width and height.

    The stream has integers as variable numbers of nibbles, of three bits and a continuation bit: the number of zeros,
    the number of other values, and for each of those the difference to the one before. Raises ImageError when it is
    damaged or larger than `limits`.
    """
    if len(data) < _HEADER_BYTES:
        raise _damaged(data)
    width, height = (int(side) for side in np.frombuffer(data, "<u4", 2))
    limits.check(width, height)
    values = np.zeros(width * height, np.uint16)
    previous = 0
    for start, coded in _runs(data, values.size):
        run = previous + np.cumsum((coded >> 1) ^ -(coded & 1))
        values[start : start + len(coded)] = run & 0xFFFF
        previous = int(run[-1]) if len(run) else previous
    return values.reshape(height, width)


def _runs(data: memoryview, size: int) -> list[tuple[int, NDArray[np.int64]]]:
    """List where each run of values begins, and its coded differences."""
    numbers = _numbers(data)
    done = read = 0
    runs = []
    while done < size:
        if read + 2 > numbers.size:
            raise _damaged(data)
        zeros, others = int(numbers[read]), int(numbers[read + 1])
        start, done = done + zeros, done + zeros + others
        if zeros + others == 0 or done > size or read + 2 + others > numbers.size:
            raise _damaged(data)
        runs.append((start, numbers[read + 2 : read + 2 + others]))
        read += 2 + others
    return runs


def _numbers(data: memoryview) -> NDArray[np.int64]:
    """Join the nibbles of each number of the stream."""
    words = np.frombuffer(data, "<u4", (len(data) - _HEADER_BYTES) // 4, offset=_HEADER_BYTES)
    nibbles = (words[:, None] >> np.arange(28, -1, -4, dtype=np.uint32) & 15).ravel()
    if not nibbles.size:
        return np.zeros(0, np.int64)
    last = nibbles < 8
    first = np.flatnonzero(np.concatenate([[True], last[:-1]]))
    place = np.arange(nibbles.size) - np.repeat(first, np.diff(first, append=nibbles.size))
    if place.max() >= _MOST_NIBBLES:
        raise _damaged(data)
    joined: NDArray[np.int64] = np.add.reduceat((nibbles & 7).astype(np.int64) << 3 * place, first)
    return joined


def _damaged(data: memoryview) -> ImageError:
    return ImageError(
        f"a compressed depth image of {len(data)} bytes is dropped: its RVL is damaged"
    )
