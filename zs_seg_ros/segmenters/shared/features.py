"""Tensors to the values of a shared space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.shared_space import FeatureGrid


def unit_rows(vectors: Tensor) -> NDArray[np.float32]:
    """Scale vectors (..., D) of any type and device to unit vectors, float32."""
    units: NDArray[np.float32] = functional.normalize(vectors.float(), dim=-1).cpu().numpy()
    return units


def feature_grid(model: str, features: Tensor) -> FeatureGrid:
    """Make the grid of one image from its dense features (h, w, D) of any scale."""
    return FeatureGrid(model, unit_rows(features))
