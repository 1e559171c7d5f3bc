# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Values in the shared space of a model's words and images: unit vectors whose dot product is their similarity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class FeatureGrid:
    """The dense features of one image, over the whole of which the cells of a grid are spread evenly.

    model: the model in whose space they are. values: (h, w, D) float32, a unit vector for each cell.
    """

    model: str
    values: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Embeddings of prompts, images or objects. model: whose space. values: (N, D) float32, unit vectors."""

    model: str
    values: NDArray[np.float32]

    @property
    def dimension(self) -> int:
        """The number D of components of a vector."""
        return int(self.values.shape[1])
