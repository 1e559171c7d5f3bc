"""OWLv2's image encoder, layer by layer: the arithmetic of transformers', arranged for the caches; the same bits."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional
from transformers import Owlv2ForObjectDetection


def encode_images(model: Owlv2ForObjectDetection, pixels: Tensor) -> Tensor:
    """(B, 3, S, S) to the features of all places, (B, S / patch, S / patch, D)."""
    vision = model.owlv2.vision_model
    hidden = vision.pre_layernorm(vision.embeddings(pixels))
    for layer in vision.encoder.layers:
        hidden = hidden + _attend(layer.self_attn, layer.layer_norm1(hidden))
        hidden = hidden + layer.mlp(layer.layer_norm2(hidden))
    hidden = vision.post_layernorm(hidden)
    places: Tensor = model.layer_norm(hidden[:, 1:] * hidden[:, :1])
    return places.view(-1, model.num_patches_height, model.num_patches_width, places.shape[-1])


def _attend(attention: Any, hidden: Tensor) -> Tensor:
    queries, keys, values = (
        # In one piece for each head, which torch's attention reads faster.
        project(hidden).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2).contiguous()
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    found = functional.scaled_dot_product_attention(queries, keys, values, scale=attention.scale)
    projected: Tensor = attention.out_proj(found.transpose(1, 2).flatten(2))
    return projected
