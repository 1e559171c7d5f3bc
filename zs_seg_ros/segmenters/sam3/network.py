"""SAM 3 with everything done once that does not depend on the phrase, and nothing done that nobody reads.

transformers' forward pass makes masks of all queries of all phrases, a semantic mask beside them, and scores and boxes
of every layer of its decoder. Here the masks are made afterwards, of the queries that turn out to be confident: most
phrases of a vocabulary are not in the image, and the pixel decoder is a third of a phrase's work. The weights are
those of transformers' model, and scores, boxes and masks are equal to those of its forward pass up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.sam3.modeling_sam3 import box_cxcywh_to_xyxy, inverse_sigmoid

_AT_ONCE = {"cpu": 1, "cuda": 8}
"""Images, and phrases of an image. A CPU gains nothing from more, and alone no result depends on its neighbours, not
even in the last bit. On a GPU 8 phrases should take 2 GB in half precision at the published size, 1008x1008 (reckoned
from the sizes of the tensors, not measured)."""

_TEXTS_PER_BATCH = 64  # bounds the memory that a vocabulary of thousands takes while it is encoded


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """What the phrases see of an image.

    levels: the feature pyramid, finest first, each (1, C, h, w). position: of the coarsest, (1, C, h, w).
    """

    levels: tuple[Tensor, ...]
    position: Tensor


@dataclass(frozen=True, eq=False)
class TextFeatures:
    """tokens: (P, T, C), one row per phrase; present: (P, T) bool, false where a shorter phrase is filled up."""

    tokens: Tensor
    present: Tensor

    @classmethod
    def joined(cls, parts: Sequence[TextFeatures]) -> TextFeatures:
        return cls(
            torch.cat([part.tokens for part in parts]), torch.cat([part.present for part in parts])
        )

    def mean(self) -> Tensor:
        """(P, C) float32: of the tokens that a phrase has."""
        weights = self.present[..., None].float()
        return (self.tokens.float() * weights).sum(dim=1) / weights.sum(dim=1)


@dataclass(frozen=True, eq=False)
class Candidates:
    """The Q queries of each of P phrases in one image.

    scores: (P, Q) float32, 0..1. boxes: (P, Q, 4) float32, left, top, right, bottom, 0..1 of the image. queries
    (P, Q, C), states (P, h * w, C) and text: what masks are made of.
    """

    scores: Tensor
    boxes: Tensor
    queries: Tensor
    states: Tensor
    text: TextFeatures


class Sam3Network:
    """Works with the weights of `model`, a `Sam3Model` or `Sam3LiteTextModel`, which must not be moved afterwards."""

    def __init__(self, model: PreTrainedModel, compiled: bool = False) -> None:
        self.model = model
        self.prompts_per_batch = self._images_per_batch = _AT_ONCE[model.device.type]
        self._encode: Callable[[Tensor], tuple[tuple[Tensor, ...], Tensor]] = self._encode_images
        if compiled:
            # One shape only: another number of images would be compiled again, for seconds, while they wait.
            self._images_per_batch = 1
            self._encode = torch.compile(self._encode_images, dynamic=False)

    def encode_text(self, tokens: Tensor, present: Tensor) -> list[TextFeatures]:
        """Token ids (P, T) int64, and which of them the phrase has, (P, T) bool, to one entry per phrase."""
        rows: list[TextFeatures] = []
        parts = (torch.split(one, _TEXTS_PER_BATCH) for one in (tokens, present))
        for ids, real in zip(*parts, strict=True):
            found = self.model.get_text_features(ids, attention_mask=real).pooler_output
            rows += map(TextFeatures, torch.split(found, 1), torch.split(real, 1))
        return rows

    def encode_images(self, pixels: Tensor) -> list[ImageFeatures]:
        """(B, 3, S, S) to one entry per image."""
        features = []
        for part in torch.split(pixels, self._images_per_batch):
            levels, position = self._encode(part)
            for i in range(len(part)):
                features.append(
                    ImageFeatures(tuple(one[i : i + 1] for one in levels), position[i : i + 1])
                )
        return features

    def _encode_images(self, pixels: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        found = self.model.get_vision_features(pixel_values=pixels)
        # Neither the detector nor the tracker reads the last level.
        return tuple(found.fpn_hidden_states[:-1]), found.fpn_position_encoding[-2]

    def search(self, image: ImageFeatures, text: TextFeatures) -> Candidates:
        """Look for each phrase, apart from the others."""
        model, count = self.model, len(text.tokens)
        encoded = model.detr_encoder(
            vision_features=[image.levels[-1].expand(count, -1, -1, -1)],
            text_features=text.tokens,
            vision_pos_embeds=[image.position.expand(count, -1, -1, -1)],
            text_mask=text.present,
        )
        decoded = model.detr_decoder(
            vision_features=encoded.last_hidden_state,
            text_features=text.tokens,
            vision_pos_encoding=encoded.pos_embeds_flattened,
            text_mask=text.present,
            spatial_shapes=encoded.spatial_shapes,
        )
        queries = decoded.intermediate_hidden_states[-1]
        offsets = model.detr_decoder.box_head(queries).float()
        boxes = (inverse_sigmoid(decoded.reference_boxes[-1].float()) + offsets).sigmoid()
        logits = model.dot_product_scoring(queries[None], text.tokens, text.present)[0, ..., 0]
        presence = decoded.presence_logits[-1]
        return Candidates(
            scores=logits.float().sigmoid() * presence.float().sigmoid(),
            boxes=box_cxcywh_to_xyxy(boxes),
            queries=queries,
            states=encoded.last_hidden_state,
            text=text,
        )

    def masks(
        self, image: ImageFeatures, found: Candidates, prompt: Tensor, query: Tensor
    ) -> Tensor:
        """Of chosen queries, their index (M,) and that of their phrase (M,), rising: (M, h, w) float32, 0..1."""
        decoder = self.model.mask_decoder
        masks = [image.levels[0].new_zeros(0, *image.levels[0].shape[-2:]).float()]
        counts = torch.bincount(prompt)
        prompts = counts.nonzero()[:, 0]
        if len(prompts):
            requested = decoder.mask_embedder(found.queries[prompt, query])
            requested = torch.split(requested, counts[prompts].tolist())
            for one, pixels in zip(requested, self._pixels(image, found, prompts), strict=True):
                masks.append(torch.einsum("qc,chw->qhw", one, pixels).float().sigmoid())
        return torch.cat(masks)

    def _pixels(self, image: ImageFeatures, found: Candidates, prompts: Tensor) -> Tensor:
        """(P, C, h, w): the pixels as some phrases see them; a mask is their product with a query."""
        decoder = self.model.mask_decoder
        states, tokens = found.states[prompts], found.text.tokens[prompts]
        normed = decoder.prompt_cross_attn_norm(states)
        mask = create_bidirectional_mask(
            config=decoder.config,
            inputs_embeds=normed,
            attention_mask=found.text.present[prompts],
            encoder_hidden_states=tokens,
        )
        read, _ = decoder.prompt_cross_attn(normed, tokens, tokens, attention_mask=mask)
        size = image.levels[-1].shape[-2:]
        coarse = (states + read).transpose(1, 2).unflatten(2, size)
        pixels: Tensor = decoder.pixel_decoder([*image.levels[:-1], coarse])
        projected: Tensor = decoder.instance_projection(pixels)
        return projected
