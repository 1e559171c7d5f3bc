# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Tensors to the values of a shared space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.segmenters.shared.transfers import OnDevice, Pending
from zs_seg_ros.shared_space import FeatureGrid
from zs_seg_ros.types import Segmentation


def unit_rows(vectors: Tensor) -> NDArray[np.float32]:
    """Scale vectors (..., D) of any type and device to unit vectors, float32."""
    units: NDArray[np.float32] = functional.normalize(vectors.float(), dim=-1).cpu().numpy()
    return units


def feature_grid(model: str, features: Tensor) -> FeatureGrid:
    """Make the grid of one image from its dense features (h, w, D) of any scale."""
    return FeatureGrid(model, unit_rows(features))


def with_features(result: Pending, model: str, features: Tensor) -> Pending:
    """Add the grid of dense features (h, w, D) of any scale to the result of an image."""
    if isinstance(result, Segmentation):
        return replace(result, features=feature_grid(model, features))
    units = functional.normalize(features.float(), dim=-1).contiguous()

    def finish(parts: Sequence[Tensor]) -> Segmentation:
        grid = FeatureGrid(model, parts[-1].numpy())
        return replace(result.finish(parts[:-1]), features=grid)

    return OnDevice((*result.parts, units), finish)
