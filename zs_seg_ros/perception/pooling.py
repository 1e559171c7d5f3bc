# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Features of objects: the mean of an image's dense features under each mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zs_seg_ros.segmenters.shared.example_pooling import pooled_over
from zs_seg_ros.shared_space import Embeddings, FeatureGrid
from zs_seg_ros.types import DetectedObject


def pooled(
    grid: FeatureGrid, size: tuple[int, int], objects: Sequence[DetectedObject]
) -> Embeddings:
    """Pool the features of an image of `size` (H, W) over the mask of each object: N unit vectors, in their order."""
    rows = [pooled_over(grid, size, detected.box, detected.mask) for detected in objects]
    dimension = grid.values.shape[2]
    return Embeddings(grid.model, np.array(rows, np.float32).reshape(len(rows), dimension))
