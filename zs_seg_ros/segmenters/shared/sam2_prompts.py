# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The prompt encoder and mask decoder of SAM 2, which EdgeTAM and SAM 3's tracker have, too."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zs_seg_ros.segmenters.shared.prompted_masks import PromptBatch


def decode_prompts(
    network: Any,
    features: list[Tensor],
    positions: Tensor,
    scale: tuple[float, float],
    prompts: PromptBatch,
    several: bool,
) -> tuple[Tensor, Tensor]:
    """Decode masks of prompts as `PromptedNetwork.decode_prompts` does.

    network: a model of transformers with `prompt_encoder` and `mask_decoder`. features: the feature pyramid of one
    image, the finest level first. positions: those of its coarsest level, of the decoder's type. scale: from pixels of
    the image, x and y, to those of the network's input.
    """
    inputs = prompts.scaled(*scale, positions.device)
    sparse, dense = network.prompt_encoder(*inputs.as_one_image(), None)
    logits, predicted_iou, *_ = network.mask_decoder(
        image_embeddings=features[-1],
        image_positional_embeddings=positions,
        sparse_prompt_embeddings=sparse.to(positions.dtype),
        dense_prompt_embeddings=dense.to(positions.dtype),
        multimask_output=several,
        high_resolution_features=features[:-1],
    )
    return logits[0].float(), predicted_iou[0].float()
