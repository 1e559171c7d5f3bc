# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The parts of a dense embedding model that other engines than torch can compute."""

from __future__ import annotations

from collections.abc import Callable

import torch

from zs_seg_ros.segmenters.dense.network import DenseNetwork
from zs_seg_ros.segmenters.engines.parts import NetworkPart, Run

_EXAMPLE_SIDE_PX = 32


def dense_parts(
    network: DenseNetwork, encode_with: Callable[[Run], None], decode_with: Callable[[Run], None]
) -> tuple[NetworkPart, NetworkPart]:
    """Return the image encoder and the decoder, for images of any size and any number of prompts.

    encode_with, decode_with: take the functions to call instead of `network.image` and `network.logits`.
    """
    width, device = network.config.embedding_dim, network.bias.device
    side = _EXAMPLE_SIDE_PX
    sizes = {2: "height", 3: "width"}
    return (
        NetworkPart(
            "dense_image_encoder",
            lambda pixels: (network.image(pixels),),
            weights=tuple(network.image.parameters()),
            inputs={"pixels": torch.zeros(1, 3, side, 2 * side, device=device)},
            outputs=("embeddings",),
            substitute=encode_with,
            free={"pixels": {0: "batch", **sizes}, "embeddings": {0: "batch", **sizes}},
        ),
        NetworkPart(
            "dense_decoder",
            lambda pixels, prompts: (network.logits(pixels, prompts),),
            weights=(network.bias,),
            inputs={
                "embeddings": torch.zeros(1, width, side, side, device=device),
                "prompts": torch.zeros(3, width + 2, device=device),
            },
            outputs=("logits",),
            substitute=decode_with,
            free={
                "embeddings": sizes,
                "prompts": {0: "prompts"},
                "logits": {1: "prompts", **sizes},
            },
        ),
    )
