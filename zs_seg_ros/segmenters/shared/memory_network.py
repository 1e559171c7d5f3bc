# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.


"""The video memory of SAM 2, which EdgeTAM and SAM 3's tracker have, too (Ravi et al. 2024, arXiv 2408.00714).

The features of an image attend to what is remembered of the object: the image in which it was marked, the last images,
and a vector, the pointer, of each. Then the mask decoder finds the object in them without a prompt. transformers keeps
the outputs of all images of a video in a session; here an object's state has a fixed number of tensors, and is equal in
effect to a session of transformers in streaming mode.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.sam2_video.modeling_sam2_video import NO_OBJ_SCORE, get_1d_sine_pe

from zs_seg_ros.segmenters.shared.pretrained import weight_names

_MARKED_LOGIT = 10.0
"""The logits of a given mask are this on the object and its negative outside, as in the authors' code."""


@dataclass(frozen=True, eq=False)
class ObjectState:
    """The memory of one object.

    first: the memory features (L, 1, D) of the image in which it was marked, and first_pointer, (1, 1, C). recent: the
    features of the last images, the newest first, as many as the model reads. pointers: theirs, of more images. age: in
    how many images it was followed.
    """

    first: Tensor
    first_pointer: Tensor
    recent: tuple[Tensor, ...] = ()
    pointers: tuple[Tensor, ...] = ()
    age: int = 0

    @property
    def nbytes(self) -> int:
        """The bytes of all tensors."""
        tensors = (self.first, self.first_pointer, *self.recent, *self.pointers)
        return sum(tensor.nbytes for tensor in tensors)


class _Decoded(NamedTuple):
    """A mask (1, 1, h, w), the object's pointer (1, 1, C), and the logit that it is in the image, (1, 1, 1)."""

    logits: Tensor
    pointer: Tensor
    score: Tensor


class RemembersObjects:
    """A mask model that may have a video memory."""

    memory: VideoMemoryNetwork | None = None
    """None where the checkpoint holds no weights of one, or where it does not work at the input size."""


class VideoMemoryNetwork:
    """The memory encoder and memory attention of a video model of transformers, with its mask decoder."""

    def __init__(self, network: Any, side: int, positions: Tensor, dtype: torch.dtype) -> None:
        """Take over the parts of a network that is on its device, and bring those of the memory to `dtype`.

        side: of the square that images are resized to. positions: those of the mask decoder, (1, C, h, w). The prompt
        encoder stays in 32 bits.
        """
        self._network, self._side, self._positions, self._dtype = network, side, positions, dtype
        config = network.config
        cells: tuple[int, int] = (positions.shape[-2], positions.shape[-1])
        for part in ("memory_attention", "memory_encoder", "object_pointer_proj"):
            getattr(network, part).to(dtype)
        network.mask_downsample.to(dtype)
        network.temporal_positional_encoding_projection_layer.to(dtype)
        self._perceiver = getattr(network, "spatial_perceiver", None)
        if self._perceiver is not None:
            self._perceiver.to(dtype)
        _set_positions(network.memory_attention, cells)
        self._no_memory = network.no_memory_embedding.detach().to(dtype).view(1, -1, 1, 1)
        self._no_object = network.no_object_pointer.detach().to(dtype)
        occluded = network.occlusion_spatial_embedding_parameter
        self._occluded = None if occluded is None else occluded.detach().to(dtype)[..., None, None]
        self._several = bool(
            config.multimask_output_in_sam
            and config.multimask_output_for_tracking
            and config.multimask_min_pt_num <= 0 <= config.multimask_max_pt_num
        )
        self._recent = config.num_maskmem - 1
        self._pointers = config.max_object_pointers_in_encoder - 1
        with torch.inference_mode():
            shape = torch.Size((1, config.vision_config.fpn_hidden_size, *cells))
            place = network.vision_encoder.neck.position_encoding(shape, positions.device, dtype)
            self._image_positions = place.to(dtype).flatten(2).permute(2, 0, 1)
            self._no_prompt = self._prompt(None)
            self._spatial, self._temporal = self._memory_positions(cells)

    def _memory_positions(self, cells: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return the position encoding of an image's memory features, and of the images before: (N, 1, 1, D)."""
        network, dtype, device = self._network, self._dtype, self._positions.device
        width: int = network.config.memory_encoder_output_channels
        shape = torch.Size((1, width, *cells))
        spatial = network.memory_encoder.position_encoding(shape, device, dtype).to(dtype)
        if self._perceiver is not None:
            blank = torch.zeros(shape, device=device, dtype=dtype)
            _, pooled = self._perceiver(blank, spatial)
            spatial = pooled.permute(1, 0, 2)
        else:
            spatial = spatial.flatten(2).permute(2, 0, 1)
        return spatial, network.memory_temporal_positional_encoding.detach().to(dtype)

    @torch.inference_mode()
    def remember(self, levels: list[Tensor], mask: Tensor) -> ObjectState:
        """Return the state of an object with a mask (H, W) in an image with this feature pyramid."""
        size = (self._side, self._side)
        resized = _resized(mask[None, None].float(), size)
        # A mask that is too small for the input size keeps its strongest cells.
        marked = (resized >= resized.amax().clamp(max=0.5)).to(self._dtype)
        image = levels[-1] - self._no_memory
        smaller = self._network.mask_downsample(marked)
        decoded = self._decode([*levels[:-1], image], self._prompt(smaller), several=True)
        logits = marked * (2 * _MARKED_LOGIT) - _MARKED_LOGIT
        features = self._encode(image, logits, torch.ones_like(decoded.score), marked=True)
        return ObjectState(features, decoded.pointer)

    @torch.inference_mode()
    def follow(
        self, levels: list[Tensor], state: ObjectState
    ) -> tuple[Tensor, Tensor, ObjectState]:
        """Find an object in the next image, with this feature pyramid.

        Returns its mask logits (h, w) float32, above 0 on the object and covering the image; the logit of the
        probability that it is there, (), float32, at most 0 where no logit of the mask is above it; and its new state.
        """
        state = replace(state, age=state.age + 1)
        image = levels[-1] - self._no_memory
        attended = self._attended(image, state)
        decoded = self._decode([*levels[:-1], attended], self._no_prompt, self._several)
        size = (self._side, self._side)
        full = functional.interpolate(decoded.logits.float(), size, mode="bilinear")
        features = self._encode(image, full.to(self._dtype), decoded.score, marked=False)
        after = replace(
            state,
            recent=(features, *state.recent)[: self._recent],
            pointers=(decoded.pointer, *state.pointers)[: self._pointers],
        )
        return decoded.logits[0, 0].float(), decoded.score[0, 0, 0].float(), after

    def _attended(self, image: Tensor, state: ObjectState) -> Tensor:
        """Return the features (1, C, h, w) of an image after they attended to what is remembered."""
        images = [(state.first, 0)]
        images += [(state.recent[ago - 1], ago) for ago in range(len(state.recent), 0, -1)]
        features = [remembered.to(self._dtype) for remembered, _ in images]
        positions = [self._spatial + self._temporal[ago - 1] for _, ago in images]
        pointers, places = self._pointer_tokens(state)
        groups = {} if self._perceiver is None else {"num_spatial_memory_tokens": len(images)}
        attended = self._network.memory_attention(
            current_vision_features=image.flatten(2).permute(2, 0, 1),
            current_vision_position_embeddings=self._image_positions,
            memory=torch.cat([*features, pointers]),
            memory_posision_embeddings=torch.cat([*positions, places]),
            num_object_pointer_tokens=len(pointers),
            **groups,
        )
        result: Tensor = attended.squeeze(1).transpose(1, 2).reshape(image.shape)
        return result

    def _pointer_tokens(self, state: ObjectState) -> tuple[Tensor, Tensor]:
        """Return the pointers as tokens (N, 1, D), and their position encoding."""
        network, device = self._network, self._positions.device
        pointers = torch.stack([state.first_pointer, *state.pointers])
        channels, width = pointers.shape[-1], self._temporal.shape[-1]
        parts = channels // width
        tokens = pointers.reshape(-1, 1, parts, width).permute(0, 2, 1, 3).flatten(0, 1)
        if not network.config.enable_temporal_pos_encoding_for_object_pointers:
            return tokens, torch.zeros_like(tokens)
        # Made on the device, without an upload.
        first = torch.full((1,), float(state.age), device=device)
        ago = torch.arange(1.0, 1.0 + len(state.pointers), device=device)
        waves = get_1d_sine_pe(torch.cat([first, ago]) / self._pointers, dim=channels)
        places = network.temporal_positional_encoding_projection_layer(waves.to(self._dtype))
        return tokens, places[:, None].repeat_interleave(parts, dim=0)

    def _prompt(self, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the embeddings of a mask (1, 1, h, w), or of no prompt, for the mask decoder."""
        encoder, device = self._network.prompt_encoder, self._positions.device
        if mask is not None:
            mask = _resized(mask.float(), tuple(encoder.mask_input_size))
        point = torch.zeros(1, 1, 1, 2, device=device)
        nowhere = torch.full((1, 1, 1), -1, dtype=torch.int32, device=device)
        sparse, dense = encoder(point, nowhere, None, mask)
        return sparse.to(self._dtype), dense.to(self._dtype)

    def _decode(
        self, levels: list[Tensor], prompt: tuple[Tensor, Tensor], several: bool
    ) -> _Decoded:
        """Decode the object; several: whether the best of several masks is taken."""
        sparse, dense = prompt
        logits, ious, tokens, score = self._network.mask_decoder(
            image_embeddings=levels[-1],
            image_positional_embeddings=self._positions,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=several,
            high_resolution_features=levels[:-1],
        )
        best = ious[0, 0].argmax(dim=-1, keepdim=True)
        there = score > 0
        mask = torch.where(there[..., None], logits[0, :, best], NO_OBJ_SCORE)
        token = tokens[0, :, best] if tokens.shape[2] > 1 else tokens[0]
        pointer = self._network.object_pointer_proj(token)
        pointer = torch.where(there, pointer, self._no_object)
        return _Decoded(mask, pointer, score)

    def _encode(self, image: Tensor, logits: Tensor, score: Tensor, marked: bool) -> Tensor:
        """Return the memory features (L, 1, D) of an image and the object's mask in it, (1, 1, S, S).

        score: above 0 where the object is in the image. marked: whether the mask was given, not predicted.
        """
        network, config = self._network, self._network.config
        height, width = network.prompt_encoder.mask_input_size
        logits = _resized(logits.float(), (4 * height, 4 * width)).to(self._dtype)
        mask = (logits > 0).to(self._dtype) if marked else logits.sigmoid()
        mask = mask * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
        features, spatial = network.memory_encoder(image, mask)
        if self._occluded is not None:
            features = features + (score <= 0).to(self._dtype)[..., None] * self._occluded
        if self._perceiver is not None:
            features, _ = self._perceiver(features, spatial)
            return features.permute(1, 0, 2)  # type: ignore[no-any-return]
        # 16 bits halve the memory; so does transformers, whose results these equal.
        return features.to(torch.bfloat16).flatten(2).permute(2, 0, 1)  # type: ignore[no-any-return]


def holds_memory(folder: Path) -> bool:
    """Return whether a checkpoint holds the weights of a video memory; that of an image model has none."""
    return any("memory_attention.layers." in name for name in weight_names(folder))


def memory_fits(network: Any) -> bool:
    """Return whether the parts of a video model's memory fit each other and the image's features.

    transformers' memory attention takes memories of 64 channels alone, and pointers that are a multiple as wide.
    """
    config = network.config
    features, memories = network.hidden_dim, config.memory_encoder_output_channels
    accepted = network.memory_attention.layers[0].cross_attn_image.k_proj.in_features
    return bool(
        memories == accepted
        and features > memories
        and features % memories == 0
        and features == config.memory_attention_hidden_size == config.memory_encoder_hidden_size
    )


def _resized(mask: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resize a mask (1, 1, h, w) bilinearly with antialiasing."""
    if tuple(mask.shape[-2:]) == size:
        return mask
    return functional.interpolate(mask, size, mode="bilinear", antialias=True)


def _set_positions(attention: Any, cells: tuple[int, int]) -> None:
    """Compute the positions of a memory attention for features of this size, as its constructor does."""
    height, width = cells
    attention.config.memory_attention_rope_feat_sizes = [width, height]
    before = attention.position_ids
    attention.position_ids = attention.precompute_positions(attention.config).to(before.device)
