# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Attention in bf16 on a CPU: the same numbers, written out or fused."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from zs_seg_ros.segmenters.shared import bf16_attention
from zs_seg_ros.segmenters.shared.bf16_attention import attend
from zs_seg_ros.segmenters.shared.processor import Processor

AVX512 = {"avx512bw", "avx512vl", "avx512dq", "avx512_bf16"}


@pytest.mark.parametrize(
    "flags", [{"avx2"}, AVX512, AVX512 | {"amx_bf16"}], ids=["AVX2", "AVX-512", "AMX"]
)
@pytest.mark.parametrize("shape", [(1, 4, 485, 16), (3, 2, 7, 8), (1, 8, 1100, 8)], ids=str)
def test_attention_in_bf16_is_that_of_fp32_up_to_rounding(
    shape: tuple[int, ...], flags: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bf16_attention, "this_processor", lambda: Processor("", frozenset(flags)))
    q, k, v = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    expected = functional.scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(attend(q, k, v), expected)
    result = attend(q.bfloat16(), k.bfloat16(), v.bfloat16())
    assert result.dtype == torch.bfloat16 and result.shape == shape
    assert float((result.float() - expected).abs().max()) < 0.02 * float(expected.abs().max())


def test_views_of_one_tensor_are_attended_to_as_copies_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bf16_attention, "this_processor", lambda: Processor("", frozenset(AVX512)))
    joined = torch.randn(2, 9, 3, 4, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    views = joined.permute(2, 0, 3, 1, 4).unbind()
    result = attend(*views)
    assert torch.equal(result, attend(*(view.contiguous() for view in views)))
