"""Grounding DINO in three steps, so that each is done no more often than it must be.

transformers' forward pass reads the caption and the image anew each time. Here the text goes through BERT once for
each vocabulary, the image through Swin once whatever the number of captions, and only what brings the two together
is done for each image and caption: the encoder's fusion, the choice of places to look at, and the decoder (Liu et
al. 2023, "Grounding DINO", section 3). The weights are those of transformers' model, and the results are equal to
those of its forward pass up to rounding. MM Grounding DINO (Zhao et al. 2024) has the same steps.
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


@dataclass(frozen=True, eq=False)
class TextFeatures:
    """A caption of T tokens after BERT.

    features: (1, T, D) float32. attends: (1, T, T) bool, which tokens belong to one phrase. positions: (1, T) int64,
    the place within the phrase.
    """

    features: Tensor
    attends: Tensor
    positions: Tensor


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """B images of one size after Swin: N cells of all levels together.

    features, places: (B, N, D), what is there and where. sizes: (height, width) of each level.
    """

    features: Tensor
    places: Tensor
    sizes: list[tuple[int, int]]


class GroundingDinoNetwork:
    """Works with the weights of `model`, which must be float32 and must not be moved afterwards.

    dtype: of Swin and BERT. The rest keeps float32 weights and computes its matrix products in `dtype` (autocast): a
    place in the image, as 0..1 in bfloat16, would be four pixels of 1280 off.
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
        self._see: Callable[..., Any] = self._base.backbone
        if compiled:
            self._see = torch.compile(self._base.backbone, dynamic=False)

    def encode_text(self, ids: Tensor) -> TextFeatures:
        """ids: (1, T) int64, a whole caption."""
        attends, positions = generate_masks_with_special_tokens_and_transfer_map(
            ids, self._base.special_tokens
        )
        read = self._base.text_backbone(
            ids, attends[:, None], torch.zeros_like(ids), positions, return_dict=True
        )
        features = self._base.text_projection(read.last_hidden_state.float())
        return TextFeatures(features, attends, positions)

    def encode_images(self, pixels: Tensor) -> ImageFeatures:
        """pixels: (B, 3, height, width), prepared."""
        with self._mixed(pixels):
            seen, places = self._see(pixels, _all_true(pixels[:, 0]))
            projections = self._base.input_proj_vision
            maps = [
                project(source) for project, (source, _) in zip(projections, seen, strict=False)
            ]
            coarser = seen[-1][0]
            for project in projections[len(maps) :]:
                coarser = project(coarser)
                maps.append(coarser)
                places.append(
                    self._base.backbone.position_embedding(coarser, _all_true(coarser[:, 0]))
                )
        levels = self._base.level_embed[:, None]
        return ImageFeatures(
            torch.cat([_cells(each) for each in maps], dim=1).float(),
            torch.cat([_cells(p) + level for p, level in zip(places, levels, strict=True)], dim=1),
            [(each.shape[2], each.shape[3]) for each in maps],
        )

    def detect(self, image: ImageFeatures, text: TextFeatures) -> tuple[Tensor, Tensor]:
        """Logits (B, Q, T) of each token at each box, and boxes (B, Q, 4) as centre, width and height in 0..1."""
        with self._mixed(image.features):
            found, words, before = self._decode(image, text)
        logits = self.model.class_embed[-1](found, words, _all_true(words[..., 0]))
        moved = self.model.bbox_embed[-1](found) + torch.logit(before, eps=1e-5)
        return logits[..., : words.shape[1]], moved.sigmoid()

    def _decode(self, image: ImageFeatures, text: TextFeatures) -> tuple[Tensor, ...]:
        """The decoder's last (B, Q, D), the fused text (B, T, D), and the boxes that the last step begins with."""
        base, device, batch = self._base, image.features.device, len(image.features)
        sizes = torch.tensor(image.sizes, device=device)
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
            vision_position_embedding=image.places,
            text_features=text.features.expand(batch, -1, -1),
            text_self_attention_masks=~text.attends.expand(batch, -1, -1),
            text_position_ids=text.positions.expand(batch, -1),
            **levels,
        )
        seen, words = fused.last_hidden_state_vision, fused.last_hidden_state_text.float()
        start = self._candidate_boxes(seen.float(), words, image.sizes)
        queries = base.query_position_embeddings.weight[None, : start.shape[1]]
        decoded = base.decoder(
            inputs_embeds=queries.expand(batch, -1, -1),
            vision_encoder_hidden_states=seen,
            text_encoder_hidden_states=words,
            reference_points=start,
            **levels,
        )
        # The last of the reference points have been moved already by the head that `detect` applies.
        steps = torch.cat([start[:, None], decoded.intermediate_reference_points], dim=1)
        return decoded.last_hidden_state.float(), words, steps[:, -2].float()

    def _candidate_boxes(self, seen: Tensor, words: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """(B, Q, 4): first boxes, where some word fits best. Tiny images have fewer cells than queries."""
        queries, proposals = self._base.generate_encoder_output_proposals(
            seen, ~_all_true(seen[..., 0]), sizes
        )
        fit = self._base.encoder_output_class_embed(queries, words, _all_true(words[..., 0]))
        count = min(self._base.config.num_queries, fit.shape[1])
        best = fit.amax(-1).topk(count, dim=1).indices
        boxes: Tensor = self._base.encoder_output_bbox_embed(queries).float() + proposals
        return boxes.gather(1, best[..., None].expand(-1, -1, 4)).sigmoid()

    def _mixed(self, tensor: Tensor) -> torch.autocast:
        half = self._dtype != torch.float32
        return torch.autocast(tensor.device.type, self._dtype, enabled=half)


def _all_true(like: Tensor) -> Tensor:
    """All tokens and all of an image count: nothing is filled up to the size of another."""
    return torch.ones_like(like, dtype=torch.bool)


def _cells(maps: Tensor) -> Tensor:
    """(B, D, height, width) to (B, height * width, D)."""
    return maps.flatten(2).transpose(1, 2)
