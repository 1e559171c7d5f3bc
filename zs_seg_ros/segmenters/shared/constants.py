# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Numbers of a vocabulary or of a size, uploaded to a device once and not for every image.

Each upload is a call that the GPU's queue waits for, which takes longer than the kernel that reads the numbers.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

_KEPT = 256  # of a few kilobytes each


@lru_cache(maxsize=_KEPT)
def constant_floats(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Return a float32 tensor (N,) on a device. It is shared between calls: read it only."""
    return torch.tensor(values, dtype=torch.float32, device=device)


@lru_cache(maxsize=_KEPT)
def constant_integers(
    values: tuple[int, ...], device: torch.device, dtype: torch.dtype = torch.int64
) -> Tensor:
    """Return a tensor of integers (N,) on a device; ids above 32767 wrap in int16. It is shared: read it only."""
    return torch.tensor(values, dtype=torch.int64).to(dtype).to(device)


def forget_constants() -> None:
    """Free the memory of all constants."""
    constant_floats.cache_clear()
    constant_integers.cache_clear()
