# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The part of TIPSv2 that other engines than torch can compute: the image encoder."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from transformers.models.tipsv2.modeling_tipsv2 import Tipsv2VisionModel

from zs_seg_ros.segmenters.engines.parts import NetworkPart, Run, image_encoder


def tipsv2_part(
    vision: Tipsv2VisionModel,
    encode_hidden: Callable[[Tensor], Tensor],
    size: tuple[int, int],
    substitute: Callable[[Run], None],
) -> NetworkPart:
    """Return the image encoder for images of `size` (H, W).

    encode_hidden: of embeddings to patches. The positions are interpolated here, once: transformers does it in the
    forward pass, with an operator that ONNX lacks.
    """
    embeddings = vision.embeddings
    with torch.no_grad():
        pixels = torch.zeros(1, 3, *size, device=embeddings.position_embeddings.device)
        patches = embeddings.patch_embeddings(pixels)
        positions = embeddings.interpolate_pos_encoding(
            torch.cat([patches[:, :1], patches], dim=1), *size
        )

    def encode(pixels: Tensor) -> tuple[Tensor, ...]:
        count = len(pixels)
        patches = embeddings.patch_embeddings(pixels)
        hidden = torch.cat([embeddings.cls_token.expand(count, -1, -1), patches], dim=1) + positions
        registers = embeddings.register_tokens.expand(count, -1, -1)
        return (encode_hidden(torch.cat([hidden[:, :1], registers, hidden[:, 1:]], dim=1)),)

    return image_encoder("tipsv2_image_encoder", encode, vision, size, ("patches",), substitute)
