# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Dense features pooled over a mask, of objects and of the example images of classes.

Mean pooling of dense features over a mask gives the vectors of regions in OpenSeg (Ghiasi et al. 2022, "Scaling
Open-Vocabulary Image Segmentation with Image-Level Labels", arXiv 2112.12143), and the prototype of a class from one
example in SG-One (Zhang et al. 2018, arXiv 1810.09091) and PANet (Wang et al. 2019, arXiv 1908.06391). Here each cell
of the grid is weighted by the number of the mask's pixels in it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.shared_space import FeatureGrid
from zs_seg_ros.types import Box
from zs_seg_ros.vocabulary.vocabulary import Exemplar


def pooled_over(
    grid: FeatureGrid, size: tuple[int, int], box: Box, mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Pool the features of an image of `size` (H, W) over a mask with at least one pixel: (D,), a unit vector.

    mask: (box.height, box.width), true on the object.
    """
    rows, first_row = _cells(box.top, box.height, size[0], grid.values.shape[0])
    columns, first_column = _cells(box.left, box.width, size[1], grid.values.shape[1])
    # The number of the mask's pixels in each cell: pixels of one row, then of one column of cells follow each other.
    pixels = np.add.reduceat(mask, first_row, axis=0, dtype=np.float32)
    weights = np.add.reduceat(pixels, first_column, axis=1)
    total = np.tensordot(weights, grid.values[np.ix_(rows, columns)], axes=2)
    length = np.linalg.norm(total)
    unit: NDArray[np.float32] = (total / max(float(length), np.finfo(np.float32).tiny)).astype(
        np.float32
    )
    return unit


def pooled_example(grid: FeatureGrid, example: Exemplar) -> NDArray[np.float32]:
    """Pool the features of an example image over its mask, or the whole of it without one: (1, D), a unit vector."""
    height, width = example.image.shape[:2]
    mask = np.ones((height, width), np.bool_) if example.mask is None else example.mask
    return pooled_over(grid, (height, width), Box(0, 0, width, height), mask)[None]


def pooled_background(grid: FeatureGrid, example: Exemplar) -> NDArray[np.float32]:
    """Pool the features of an example image outside its mask: (1, D), a unit vector; zeros where nothing is outside."""
    height, width = example.image.shape[:2]
    if example.mask is None or example.mask.all():
        return np.zeros((1, grid.values.shape[2]), np.float32)
    return pooled_over(grid, (height, width), Box(0, 0, width, height), ~example.mask)[None]


def _cells(
    start: int, length: int, pixels: int, cells: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the cells that the centres of pixels start … start + length - 1 lie in, and the first pixel of each.

    pixels and cells: how many there are along this side of the image.
    """
    place = np.arange(start, start + length)
    return np.unique((2 * place + 1) * cells // (2 * pixels), return_index=True)
