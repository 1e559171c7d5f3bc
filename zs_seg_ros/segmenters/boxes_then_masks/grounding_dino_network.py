# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Grounding DINO's forward pass in separate steps: text encoder, image encoder, and fusion with decoder.

transformers' forward pass encodes caption and image anew each time. Here BERT encodes a caption once for each
vocabulary, and Swin an image once for all captions. Only the steps that combine both run for each pair of image and
caption: the fusion encoder, the selection of queries, and the decoder (Liu et al. 2023, "Grounding DINO", section 3).
The weights are those of transformers' model, and logits and boxes are equal to those of its forward pass up to
rounding. MM Grounding DINO (Zhao et al. 2024) has the same steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import GroundingDinoForObjectDetection, MMGroundingDinoForObjectDetection
from transformers.models.grounding_dino.modeling_grounding_dino import (
    generate_masks_with_special_tokens_and_transfer_map,
)

from zs_seg_ros.segmenters.boxes_then_masks.deformable_attention import never_wait
from zs_seg_ros.segmenters.shared.compiled import Compiled
from zs_seg_ros.segmenters.shared.constants import constant_integers


@dataclass(frozen=True, eq=False)
class TextFeatures:
    """A caption of T tokens after BERT.

    features: (1, T, D) float32. attends: (1, T, T) bool, true where two tokens belong to one phrase. positions: (1, T)
    int64, the position of each token within its phrase.
    """

    features: Tensor
    attends: Tensor
    positions: Tensor


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """B images of one size after Swin; N is the number of cells of all levels together.

    features: (B, N, D) float32. positions: (B, N, D), the position encoding of each cell. sizes: (height, width) of
    each level.
    """

    features: Tensor
    positions: Tensor
    sizes: list[tuple[int, int]]


class GroundingDinoNetwork:
    """The network of Grounding DINO, on the weights of a model of transformers.

    model: with float32 weights; it must not be moved to another device afterwards. dtype: of Swin and BERT. The rest
    keeps float32 weights and computes its matrix products in `dtype` (autocast), since coordinates 0..1 in bfloat16
    would be off by four pixels of 1280. compiled: whether the image encoder is compiled.
    """

    def __init__(
        self,
        model: GroundingDinoForObjectDetection | MMGroundingDinoForObjectDetection,
        dtype: torch.dtype,
        compiled: bool = False,
    ) -> None:
        self.model, self._base, self._dtype = model, model.model, dtype
        self._base.backbone.conv_encoder.to(dtype)
        self._base.text_backbone.to(dtype)
        never_wait(self._base)
        self._backbone: Callable[..., Any] = self._base.backbone
        if compiled:
            self._backbone = Compiled(self._base.backbone, dynamic=False)

    def encode_text(self, ids: Tensor) -> TextFeatures:
        """Encode a whole caption. ids: (1, T) int64."""
        attends, positions = generate_masks_with_special_tokens_and_transfer_map(
            ids, self._base.special_tokens
        )
        encoded = self._base.text_backbone(
            ids, attends[:, None], torch.zeros_like(ids), positions, return_dict=True
        )
        features = self._base.text_projection(encoded.last_hidden_state.float())
        return TextFeatures(features, attends, positions)

    def encode_images(self, pixels: Tensor) -> ImageFeatures:
        """Encode normalised images of one size, (B, 3, height, width)."""
        with self._autocast(pixels):
            levels, positions = self._backbone(pixels, _all_true(pixels[:, 0]))
            projections = self._base.input_proj_vision
            maps = [
                project(level) for project, (level, _) in zip(projections, levels, strict=False)
            ]
            coarser = levels[-1][0]
            for project in projections[len(maps) :]:
                coarser = project(coarser)
                maps.append(coarser)
                positions.append(
                    self._base.backbone.position_embedding(coarser, _all_true(coarser[:, 0]))
                )
        embeddings = self._base.level_embed[:, None]
        encodings = [_cells(p) + e for p, e in zip(positions, embeddings, strict=True)]
        return ImageFeatures(
            torch.cat([_cells(level) for level in maps], dim=1).float(),
            torch.cat(encodings, dim=1),
            [(level.shape[2], level.shape[3]) for level in maps],
        )

    def detect(self, image: ImageFeatures, text: TextFeatures) -> tuple[Tensor, Tensor]:
        """Return logits (B, Q, T) of tokens for boxes, and boxes (B, Q, 4) as centre, width and height in 0..1."""
        with self._autocast(image.features):
            decoded, fused_text, reference = self._decode(image, text)
        logits = self.model.class_embed[-1](decoded, fused_text, _all_true(fused_text[..., 0]))
        refined = self.model.bbox_embed[-1](decoded) + torch.logit(reference, eps=1e-5)
        return logits[..., : fused_text.shape[1]], refined.sigmoid()

    def _decode(self, image: ImageFeatures, text: TextFeatures) -> tuple[Tensor, ...]:
        """Fuse image and text, and decode.

        Returns the output of the last layer (B, Q, D), the fused text (B, T, D), and the boxes (B, Q, 4) that the last
        layer refines.
        """
        base, device, batch = self._base, image.features.device, len(image.features)
        sides = tuple(side for size in image.sizes for side in size)
        sizes = constant_integers(sides, device).view(-1, 2)
        levels: dict[str, Any] = {
            "spatial_shapes": sizes,
            "spatial_shapes_list": image.sizes,
            "level_start_index": sizes.prod(1).cumsum(0) - sizes.prod(1),
            "valid_ratios": torch.ones(batch, len(image.sizes), 2, device=device),
            "return_dict": True,
        }
        fused = base.encoder(
            vision_features=image.features,
            vision_attention_mask=~_all_true(image.features[..., 0]),
            vision_position_embedding=image.positions,
            text_features=text.features.expand(batch, -1, -1),
            text_self_attention_masks=~text.attends.expand(batch, -1, -1),
            text_position_ids=text.positions.expand(batch, -1),
            **levels,
        )
        vision, fused_text = fused.last_hidden_state_vision, fused.last_hidden_state_text.float()
        proposals = self._propose_boxes(vision.float(), fused_text, image.sizes)
        queries = base.query_position_embeddings.weight[None, : proposals.shape[1]]
        decoded = base.decoder(
            inputs_embeds=queries.expand(batch, -1, -1),
            vision_encoder_hidden_states=vision,
            text_encoder_hidden_states=fused_text,
            reference_points=proposals,
            **levels,
        )
        # The last of the reference points are refined already by the head that `detect` applies.
        steps = torch.cat([proposals[:, None], decoded.intermediate_reference_points], dim=1)
        return decoded.last_hidden_state.float(), fused_text, steps[:, -2].float()

    def _propose_boxes(self, vision: Tensor, text: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """Return the boxes (B, Q, 4) of the cells of highest score, the maximum over tokens.

        Q is the number of cells where a tiny image has fewer cells than the model has queries.
        """
        queries, anchors = self._base.generate_encoder_output_proposals(
            vision, ~_all_true(vision[..., 0]), sizes
        )
        logits = self._base.encoder_output_class_embed(queries, text, _all_true(text[..., 0]))
        count = min(self._base.config.num_queries, logits.shape[1])
        best = logits.amax(-1).topk(count, dim=1).indices
        boxes: Tensor = self._base.encoder_output_bbox_embed(queries).float() + anchors
        return boxes.gather(1, best[..., None].expand(-1, -1, 4)).sigmoid()

    def _autocast(self, tensor: Tensor) -> torch.autocast:
        half = self._dtype != torch.float32
        return torch.autocast(tensor.device.type, self._dtype, enabled=half)


def _all_true(like: Tensor) -> Tensor:
    """Return a mask that keeps all tokens or cells, since nothing is padded."""
    return torch.ones_like(like, dtype=torch.bool)


def _cells(maps: Tensor) -> Tensor:
    """Flatten feature maps (B, D, height, width) to (B, height * width, D)."""
    return maps.flatten(2).transpose(1, 2)
