# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Attention on a CPU in bf16: two matrix products with the processor's own instructions.

torch's fused attention on a CPU keeps the tiles of a head in its cache, but computes their products in bf16 no faster
than in fp32 where the processor has AVX512-BF16 and no AMX. There the products of all heads, written out, take half the
time for few tokens; for many, the weights of all pairs of tokens would fill the memory.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.segmenters.shared.processor import this_processor

_MOST_BYTES = 1 << 24
"""Of the attention weights of all heads: above this the fused attention computes them."""


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Compute attention of (n, heads, tokens, width) to the same shape, without a mask."""
    n, heads, tokens, width = q.shape
    in_bf16 = q.dtype == torch.bfloat16 and q.device.type == "cpu"
    if not in_bf16 or not _is_faster() or 2 * n * heads * tokens * k.shape[2] > _MOST_BYTES:
        return functional.scaled_dot_product_attention(q, k, v)
    q, k, v = (tensor.reshape(n * heads, -1, width) for tensor in (q, k, v))
    weights = torch.bmm(q * width**-0.5, k.transpose(1, 2))
    return torch.bmm(weights.softmax(-1), v).view(n, heads, tokens, width)


def _is_faster() -> bool:
    processor = this_processor()
    return processor.multiplies_bf16 and "amx_bf16" not in processor.flags
