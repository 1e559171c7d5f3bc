# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Deformable attention of Grounding DINO without a wait for the GPU.

transformers compares the sizes of the feature maps with their cells in every layer, with numbers of the device, for
which the CPU waits. Here they are compared with numbers of the CPU. The arithmetic is the same.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers.models.grounding_dino.modeling_grounding_dino import (
    GroundingDinoMultiscaleDeformableAttention,
)
from transformers.models.mm_grounding_dino.modeling_mm_grounding_dino import (
    MMGroundingDinoMultiscaleDeformableAttention,
)


def never_wait(network: nn.Module) -> None:
    """Replace the forward pass of each deformable attention in a network, which keeps its weights."""
    for module in network.modules():
        if type(module) in _WITHOUT_WAITING:
            module.__class__ = _WITHOUT_WAITING[type(module)]


def _attend(
    attention: Any,
    hidden_states: Tensor,
    attention_mask: Tensor | None = None,
    encoder_hidden_states: Tensor | None = None,
    encoder_attention_mask: Tensor | None = None,
    position_embeddings: Tensor | None = None,
    reference_points: Tensor | None = None,
    spatial_shapes: Tensor | None = None,
    spatial_shapes_list: list[tuple[int, int]] | None = None,
    level_start_index: Tensor | None = None,
    output_attentions: bool = False,
) -> tuple[Tensor, Tensor]:
    """Do what transformers' forward pass does, with its arguments."""
    assert encoder_hidden_states is not None and reference_points is not None
    assert spatial_shapes is not None and spatial_shapes_list is not None
    batch, cells, _ = encoder_hidden_states.shape
    assert cells == sum(height * width for height, width in spatial_shapes_list)
    if position_embeddings is not None:
        hidden_states = hidden_states + position_embeddings
    value = attention.value_proj(encoder_hidden_states)
    if attention_mask is not None:
        value = value.masked_fill(~attention_mask[..., None], 0.0)
    value = value.view(batch, cells, attention.n_heads, -1)
    queries, heads = hidden_states.shape[1], attention.n_heads
    levels, points = attention.n_levels, attention.n_points
    offsets = attention.sampling_offsets(hidden_states)
    offsets = offsets.view(batch, queries, heads, levels, points, 2)
    weights = attention.attention_weights(hidden_states).view(batch, queries, heads, -1)
    weights = weights.softmax(-1).view(batch, queries, heads, levels, points)
    reference = reference_points[:, :, None, :, None]
    if reference_points.shape[-1] == 2:
        locations = reference + offsets / spatial_shapes.flip(-1)[:, None]
    else:
        locations = reference[..., :2] + offsets / points * reference[..., 2:] * 0.5
    sampled = attention.attn(
        value,
        spatial_shapes,
        spatial_shapes_list,
        level_start_index,
        locations,
        weights,
        attention.im2col_step,
    )
    return attention.output_proj(sampled), weights


_WITHOUT_WAITING: dict[type[nn.Module], type[nn.Module]] = {
    kind: type(kind.__name__, (kind,), {"forward": _attend})
    for kind in (
        GroundingDinoMultiscaleDeformableAttention,
        MMGroundingDinoMultiscaleDeformableAttention,
    )
}
