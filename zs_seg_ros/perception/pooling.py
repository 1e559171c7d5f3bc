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
