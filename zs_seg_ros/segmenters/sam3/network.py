# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""SAM 3's forward pass in separate steps: image encoder, text encoder, DETR decoder and mask decoder.

transformers' forward pass encodes the image anew for each phrase, and decodes masks of all queries of all phrases, a
semantic mask, and scores and boxes of every decoder layer. Here an image is encoded once for all phrases, and masks
are decoded for the queries whose score reaches its threshold alone: most phrases of a vocabulary are not in the image,
and the pixel decoder is a third of the work for a phrase. The weights are those of transformers' model, and scores,
boxes and masks are equal to those of its forward pass up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.sam3.modeling_sam3 import box_cxcywh_to_xyxy, inverse_sigmoid

from zs_seg_ros.segmenters.engines.parts import NetworkPart, Run, image_encoder
from zs_seg_ros.segmenters.shared.compiled import Compiled
from zs_seg_ros.segmenters.shared.transfers import uploaded

_BATCH_SIZE = {"cpu": 1, "cuda": 8}
"""Images per run of the image encoder, and phrases per run of the decoder. A CPU gains nothing from more, and in a
batch of one no result depends on its neighbours, not even in the last bit. On a GPU 8 phrases should take 2 GB in half
precision at the published size, 1008x1008 (calculated from the sizes of the tensors, not measured)."""

_TEXTS_PER_BATCH = 64  # bounds the memory while a vocabulary of thousands of phrases is encoded


_Encoding = tuple[tuple[Tensor, ...], Tensor, Tensor | None]
"""The levels, position and states of `ImageFeatures`, of a batch of images."""


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """The features of one image after the image encoder.

    levels: the feature pyramid, finest first, each (1, C, h, w). position: the position encoding of the coarsest level,
    (1, C, h, w). states: the output (1, h * w, C) of the image encoder, of which the tracker has a pyramid of its own;
    None where another engine computes it.
    """

    levels: tuple[Tensor, ...]
    position: Tensor
    states: Tensor | None


@dataclass(frozen=True, eq=False)
class TextFeatures:
    """The embeddings of P phrases after the text encoder.

    tokens: (P, T, C), one row per phrase. present: (P, T) bool, false for padding behind a phrase shorter than T.
    """

    tokens: Tensor
    present: Tensor

    @classmethod
    def joined(cls, parts: Sequence[TextFeatures]) -> TextFeatures:
        """Concatenate at least one batch of phrases to a single batch, in order."""
        return cls(
            torch.cat([part.tokens for part in parts]), torch.cat([part.present for part in parts])
        )

    def chosen(self, index: Tensor) -> TextFeatures:
        """Return the phrases with the indices `index` (N,), in that order."""
        return TextFeatures(self.tokens[index], self.present[index])

    def attended(self) -> Tensor:
        """Return the mask of tokens for attention: (P, T), or (P, 1, 1, T) on a device that is no CPU.

        transformers reads the values of a mask of two dimensions to leave one without padding out; a GPU would be
        waited for each time.
        """
        return self.present if self.present.device.type == "cpu" else self.present[:, None, None]

    def mean(self) -> Tensor:
        """Return the mean embedding of each phrase over its tokens without padding, (P, C) float32."""
        weights = self.present[..., None].float()
        return (self.tokens.float() * weights).sum(dim=1) / weights.sum(dim=1)


@dataclass(frozen=True, eq=False)
class Candidates:
    """The detections of P phrases in one image, Q queries for each phrase, before any threshold.

    scores: (P, Q) float32, 0..1, of each query times `presence`, (P,) float32, which says how surely the image shows
    the phrase at all. boxes: (P, Q, 4) float32, left, top, right, bottom, as shares 0..1 of the image.
    queries (P, Q, C), states (P, h * w, C) and text: the inputs of the mask decoder.
    """

    scores: Tensor
    presence: Tensor
    boxes: Tensor
    queries: Tensor
    states: Tensor
    text: TextFeatures


def resize_positions(model: PreTrainedModel, side: int) -> None:
    """Compute the positions of the image encoder for images of `side` pixels, in place.

    transformers does it in the constructor, from the image_size of a configuration. The learned position embeddings are
    tiled, the rotary ones of the layers with global attention stretched over the image.
    """
    model.config.image_size = side
    config = model.config.vision_config.backbone_config
    for layer in model.vision_encoder.backbone.layers:
        layer.position_ids = layer.precompute_positions(config, layer.window_size)


class Sam3Network:
    """The network of SAM 3, on the weights of a model of transformers.

    model: a `Sam3Model` or `Sam3LiteTextModel`, which must not be moved to another device afterwards. compiled: whether
    the image encoder is compiled; then it runs on one image at a time.
    """

    def __init__(self, model: PreTrainedModel, compiled: bool = False) -> None:
        self.model = model
        model.detr_encoder._prepare_multilevel_features = _one_level
        self.prompts_per_batch = self._images_per_batch = _BATCH_SIZE[model.device.type]
        self._encode: Callable[[Tensor], _Encoding] = self._encode_images
        if compiled:
            # One batch size only: each further one would be compiled, for seconds, while the images wait.
            self._images_per_batch = 1
            self._encode = Compiled(self._encode_images, dynamic=False)

    def encode_text(self, tokens: Tensor, present: Tensor) -> list[TextFeatures]:
        """Encode phrases to one entry each. tokens: ids, (P, T) int64; present: (P, T) bool, false for padding."""
        rows: list[TextFeatures] = []
        batches = (torch.split(tensor, _TEXTS_PER_BATCH) for tensor in (tokens, present))
        for ids, mask in zip(*batches, strict=True):
            embeddings = self.model.get_text_features(ids, attention_mask=mask).pooler_output
            rows += map(TextFeatures, torch.split(embeddings, 1), torch.split(mask, 1))
        return rows

    def encode_images(self, pixels: Tensor) -> list[ImageFeatures]:
        """Encode normalised images, (B, 3, S, S), to one entry each."""
        features = []
        for batch in torch.split(pixels, self._images_per_batch):
            levels, position, states = self._encode(batch)
            for i in range(len(batch)):
                row = slice(i, i + 1)
                of_image = tuple(level[row] for level in levels)
                of_backbone = None if states is None else states[row]
                features.append(ImageFeatures(of_image, position[row], of_backbone))
        return features

    def _encode_images(self, pixels: Tensor) -> _Encoding:
        vision = self.model.get_vision_features(pixel_values=pixels)
        # Neither the detector nor the tracker uses the last level.
        levels = tuple(vision.fpn_hidden_states[:-1])
        return levels, vision.fpn_position_encoding[-2], vision.last_hidden_state

    def part(self, size: tuple[int, int]) -> NetworkPart:
        """Return the image encoder for images of `size` (H, W)."""
        vision = self.model.vision_encoder

        def compute(pixels: Tensor) -> tuple[Tensor, ...]:
            levels, position, _ = self._encode_images(pixels)
            return *levels, position

        levels = [f"level{level}" for level in range(len(vision.config.scale_factors) - 1)]
        outputs = (*levels, "position")
        name = "sam3_image_encoder"
        return image_encoder(name, compute, vision, size, outputs, self._encode_with)

    def _encode_with(self, run: Run) -> None:
        def encode(pixels: Tensor) -> _Encoding:
            *levels, position = run(pixels)
            return tuple(levels), position, None

        self._encode = encode

    def detect(self, image: ImageFeatures, text: TextFeatures) -> Candidates:
        """Return scores and boxes of all queries of each phrase; no phrase depends on the others."""
        model, count = self.model, len(text.tokens)
        mask = text.attended()
        encoded = model.detr_encoder(
            vision_features=[image.levels[-1].expand(count, -1, -1, -1)],
            text_features=text.tokens,
            vision_pos_embeds=[image.position.expand(count, -1, -1, -1)],
            text_mask=mask,
        )
        decoded = model.detr_decoder(
            vision_features=encoded.last_hidden_state,
            text_features=text.tokens,
            vision_pos_encoding=encoded.pos_embeds_flattened,
            text_mask=mask,
            spatial_shapes=encoded.spatial_shapes,
        )
        queries = decoded.intermediate_hidden_states[-1]
        offsets = model.detr_decoder.box_head(queries).float()
        boxes = (inverse_sigmoid(decoded.reference_boxes[-1].float()) + offsets).sigmoid()
        logits = model.dot_product_scoring(queries[None], text.tokens, text.present)[0, ..., 0]
        presence = decoded.presence_logits[-1].float().sigmoid()
        return Candidates(
            scores=logits.float().sigmoid() * presence,
            presence=presence[:, 0],
            boxes=box_cxcywh_to_xyxy(boxes),
            queries=queries,
            states=encoded.last_hidden_state,
            text=text,
        )

    def masks(
        self, image: ImageFeatures, candidates: Candidates, prompt: Tensor, query: Tensor
    ) -> Tensor:
        """Decode the masks of M chosen queries, (M, h, w) float32, 0..1.

        prompt: (M,) int64, the index of each one's phrase, in rising order. query: (M,) int64, its index among the
        phrase's queries. Both are on the CPU.
        """
        decoder = self.model.mask_decoder
        masks = [image.levels[0].new_zeros(0, *image.levels[0].shape[-2:]).float()]
        prompts, counts = torch.unique_consecutive(prompt, return_counts=True)
        if len(prompts):
            indices = uploaded(torch.cat([prompt, query, prompts]), candidates.queries.device)
            of_prompt, of_query, once = torch.split(
                indices, [len(prompt), len(query), len(prompts)]
            )
            embeddings = decoder.mask_embedder(candidates.queries[of_prompt, of_query])
            per_prompt = torch.split(embeddings, counts.tolist())
            pixels_per_prompt = self._pixels(image, candidates, once)
            for queries, pixels in zip(per_prompt, pixels_per_prompt, strict=True):
                masks.append(torch.einsum("qc,chw->qhw", queries, pixels).float().sigmoid())
        return torch.cat(masks)

    def _pixels(self, image: ImageFeatures, candidates: Candidates, prompts: Tensor) -> Tensor:
        """Return the pixel embeddings for the phrases with the indices `prompts` (P,), (P, C, h, w).

        The logits of a mask are their dot product with the embedding of a query.
        """
        decoder = self.model.mask_decoder
        states, text = candidates.states[prompts], candidates.text.chosen(prompts)
        normed = decoder.prompt_cross_attn_norm(states)
        mask = create_bidirectional_mask(
            config=decoder.config,
            inputs_embeds=normed,
            attention_mask=text.attended(),
            encoder_hidden_states=text.tokens,
        )
        attended, _ = decoder.prompt_cross_attn(
            normed, text.tokens, text.tokens, attention_mask=mask
        )
        size = image.levels[-1].shape[-2:]
        coarse = (states + attended).transpose(1, 2).unflatten(2, size)
        pixels: Tensor = decoder.pixel_decoder([*image.levels[:-1], coarse])
        projected: Tensor = decoder.instance_projection(pixels)
        return projected


def _one_level(features: Sequence[Tensor], positions: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Flatten one level (B, C, h, w) of features and its positions to (B, h * w, C), and return its size on the CPU.

    transformers uploads the size for each image.
    """
    [level], [position] = features, positions
    flat, flat_position = (x.flatten(2).transpose(1, 2) for x in (level, position))
    return flat, flat_position, torch.tensor([level.shape[-2:]])
