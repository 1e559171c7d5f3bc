# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""OWLv2's image encoder, layer by layer: transformers' arithmetic in a memory layout that is faster on CPUs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Owlv2ForObjectDetection


def encode_images(model: Owlv2ForObjectDetection, pixels: Tensor) -> Tensor:
    """Encode normalised images, (B, 3, S, S), to the features of all patches, (B, S / patch, S / patch, D)."""
    vision = model.owlv2.vision_model
    hidden = vision.pre_layernorm(vision.embeddings(pixels))
    for layer in vision.encoder.layers:
        hidden = hidden + _attend(layer.self_attn, layer.layer_norm1(hidden))
        hidden = hidden + layer.mlp(layer.layer_norm2(hidden))
    hidden = vision.post_layernorm(hidden)
    patches: Tensor = model.layer_norm(hidden[:, 1:] * hidden[:, :1])
    return patches.view(-1, model.num_patches_height, model.num_patches_width, patches.shape[-1])


@torch.no_grad()
def resize_positions(model: Owlv2ForObjectDetection, patches: int) -> None:
    """Interpolate the positions of the image encoder to `patches` x `patches`, and compute the boxes' again, in place.

    transformers interpolates them for each image, with `interpolate_pos_encoding`.
    """
    embeddings = model.owlv2.vision_model.embeddings
    side = patches * embeddings.patch_size
    weight = embeddings.position_embedding.weight
    like = weight.new_zeros(1, patches * patches + 1, weight.shape[1])
    positions = embeddings.interpolate_pos_encoding(like, side, side)[0]
    embeddings.position_embedding.weight = nn.Parameter(positions.contiguous(), False)
    embeddings.position_ids = torch.arange(len(positions))[None]
    model.num_patches_height = model.num_patches_width = patches
    model.box_bias = model.compute_box_bias(patches, patches)


def _attend(attention: Any, hidden: Tensor) -> Tensor:
    queries, keys, values = (
        # Contiguous for each head, which torch's attention reads faster.
        project(hidden).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2).contiguous()
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    attended = functional.scaled_dot_product_attention(queries, keys, values, scale=attention.scale)
    projected: Tensor = attention.out_proj(attended.transpose(1, 2).flatten(2))
    return projected
