"""OWLv2's image encoder, layer by layer: transformers' arithmetic in a memory layout that is faster on CPUs."""

from __future__ import annotations

from typing import Any

from torch import Tensor
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


def _attend(attention: Any, hidden: Tensor) -> Tensor:
    queries, keys, values = (
        # Contiguous for each head, which torch's attention reads faster.
        project(hidden).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2).contiguous()
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    attended = functional.scaled_dot_product_attention(queries, keys, values, scale=attention.scale)
    projected: Tensor = attention.out_proj(attended.transpose(1, 2).flatten(2))
    return projected
