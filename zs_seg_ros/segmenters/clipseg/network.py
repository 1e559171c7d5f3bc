# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""CLIPSeg's forward pass with everything that does not depend on the prompt computed once per image.

transformers' forward pass takes one copy of the image for each prompt. Here an image passes through the
image encoder once, no further than the last layer that the decoder reads, and is reduced to the
decoder's width once. The computation for each prompt starts at the FiLM layer (Perez et al. 2018),
where CLIPSeg combines prompt and image (Lüddecke & Ecker 2022, "Image Segmentation Using Text
and Image Prompts", section 3). The weights are those of transformers' model, and the logits are equal
to those of its forward pass up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional
from transformers import CLIPSegForImageSegmentation
from transformers.models.clipseg.modeling_clipseg import CLIPSegDecoderLayer, CLIPSegEncoderLayer

from zs_seg_ros.segmenters.clipseg.compiled_decoder import compiled_layer
from zs_seg_ros.segmenters.clipseg.head import Head
from zs_seg_ros.segmenters.engines.parts import NetworkPart, Run
from zs_seg_ros.segmenters.shared.bf16_attention import attend
from zs_seg_ros.segmenters.shared.compiled import Compiled
from zs_seg_ros.segmenters.shared.one_core_threads import OneCoreThreads

Chunk = TypeVar("Chunk")

_CHUNK = {"cpu": 1, "cuda": 64}
"""How many images, and how many prompts of an image, are computed at a time. The tensors of one prompt stay in a CPU's
cache. A GPU needs many to be used fully; 64 prompts take 0.3 GB in half precision."""
_HIDDEN = 256
"""How many hidden units of the decoder's MLP are computed at a time on a CPU. All 2048 of the 485 tokens are 4 MB; 256
are 0.5 MB, which a core's own cache holds between the two matrix products."""


class ClipSegNetwork:
    """Computes with the weights of `model`, which must stay on their device."""

    def __init__(self, model: CLIPSegForImageSegmentation, compiled: bool = False) -> None:
        config, decoder = model.config, model.decoder
        self.model = model
        self._vision = model.clip.vision_model
        self._extracted = tuple(config.extract_layers)[::-1]  # the decoder starts from the deepest
        self._condition_at: int = config.conditional_layer
        self._decoder = decoder
        self._layers = [_DecoderLayer(layer) for layer in decoder.layers]
        self._head = Head(decoder.transposed_convolution)
        self._prompts_per_batch = self._images_per_batch = _CHUNK[model.device.type]
        # Cores that share the small matrices of a prompt wait for each other longer than they compute.
        cores = torch.get_num_threads() if model.device.type == "cpu" else 1
        self._threads = OneCoreThreads(cores) if cores > 1 else None
        self._encode: Callable[[Tensor], tuple[Tensor, Tensor]] = self._encode_images
        self._decode: Callable[[Tensor, Tensor], Tensor] = self._decode_prompts
        if compiled:
            # One shape only: for another number of images torch would compile again, for seconds, while frames wait.
            self._images_per_batch = 1
            self._encode = Compiled(self._encode_images, dynamic=False)

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Encode images (B, 3, H, W) to the decoder's inputs (B, depth, 1 + tokens, reduce_dim)."""
        return self.encode_images_further(pixels)[0]

    def encode_images_further(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images as `encode_images` does, and to hidden states (B, 1 + tokens, width) for `patches`."""
        chunks = [self._encode(chunk) for chunk in torch.split(pixels, self._images_per_batch)]
        inputs, hidden = zip(*chunks, strict=True)
        return torch.cat(inputs), torch.cat(hidden)

    def patches(self, hidden: Tensor) -> Tensor:
        """Compute the remaining layers for hidden states (B, 1 + tokens, width): (B, side, side, D) in CLIP's space.

        In the last layer each patch attends only to itself, as MaskCLIP has it (Zhou et al. 2022, "Extract Free Dense
        Labels from CLIP", arXiv 2112.01071): CLIP trained that layer to gather the image in its class token.
        """
        *earlier, last = self._vision.encoder.layers[max(self._extracted) + 1 :] or [None]
        if last is None:  # the decoder reads the last layer itself
            patches = hidden[:, 1:]
        else:
            for layer in earlier:
                hidden = layer(hidden, None)
            patches = hidden[:, 1:]
            attention = last.self_attn
            patches = patches + attention.out_proj(attention.v_proj(last.layer_norm1(patches)))
            patches = patches + last.mlp(last.layer_norm2(patches))
        projected = self.model.clip.visual_projection(self._vision.post_layernorm(patches))
        side = math.isqrt(projected.shape[1])
        grid: Tensor = projected.unflatten(1, (side, side))
        return grid

    def _encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self._vision.pre_layrnorm(self._vision.embeddings(pixels))
        outputs: dict[int, Tensor] = {}
        for index, layer in enumerate(self._vision.encoder.layers[: max(self._extracted) + 1]):
            hidden = _vision_layer(layer, hidden)
            outputs[index] = hidden
        pairs = zip(self._decoder.reduces, self._extracted, strict=True)
        return torch.stack([reduce(outputs[index]) for reduce, index in pairs], dim=1), hidden

    def decode(self, image: Tensor, features: Tensor) -> Tensor:
        """Decode one image of `encode_images` (depth, 1 + tokens, reduce_dim) for prompts (P, D) to logits.

        features: conditional embeddings, of text or of exemplars. Returns (P, h, w) float32.
        """
        return self._decode(image, features)

    def parts(self, side: int) -> tuple[NetworkPart, NetworkPart]:
        """Return the image encoder for one image (1, 3, side, side), and the decoder for any number of prompts."""
        with torch.inference_mode(False), torch.no_grad():
            pixels = torch.zeros(1, 3, side, side, device=self.model.device)
            image = self._encode_images(pixels)[0][0]
            prompts = torch.zeros(3, self.model.config.projection_dim, device=pixels.device)
        blocks = [tensor for weight, bias, _ in self._head.blocks for tensor in (weight, bias)]
        joined = [tensor for layer in self._layers for tensor in layer.joined]
        decoder = tuple(self._decoder.parameters())
        return (
            NetworkPart(
                "clipseg_image_encoder",
                self._encode_images,
                weights=(*self._vision.parameters(), *decoder),
                inputs={"pixels": pixels},
                outputs=("image", "hidden"),
                substitute=self._encode_with,
                matrix_products=True,
            ),
            NetworkPart(
                "clipseg_decoder",
                lambda image, features: (self._decode_prompts(image, features, whole=True),),
                weights=(*decoder, *joined, *blocks),
                inputs={"image": image, "prompts": prompts},
                outputs=("logits",),
                substitute=self._decode_with,
                free={"prompts": {0: "prompts"}, "logits": {0: "prompts"}},
                matrix_products=True,
                on_callers_core=True,
                substitute_whole=self._decode_whole_with,
                keep=self._decode_in,
            ),
        )

    def _encode_with(self, run: Run) -> None:
        def encode(pixels: Tensor) -> tuple[Tensor, Tensor]:
            image, hidden = run(pixels)
            return image, hidden

        self._images_per_batch, self._encode = 1, encode

    def _decode_with(self, run: Run) -> None:
        def decode(image: Tensor, features: Tensor) -> Tensor:
            chunks = torch.split(features, self._prompts_per_batch)
            return self._decode_chunks(lambda prompts: run(image, prompts)[0], chunks)

        self._decode = decode

    def _decode_whole_with(self, run: Run) -> None:
        def decode(image: Tensor, features: Tensor) -> Tensor:
            chunks = torch.split(features, _CHUNK["cuda"])
            return torch.cat([run(image, prompts)[0] for prompts in chunks])

        self._decode = decode

    def _decode_in(self, precision: str) -> bool:
        """Decode with the layers in C. precision: fp32, bf16 or, which is bf16 here, int8. Returns whether they can."""
        dtype = torch.float32 if precision == "fp32" else torch.bfloat16
        layers = [_DecoderLayer(layer, dtype) for layer in self._decoder.layers]
        head = Head(self._decoder.transposed_convolution, dtype)
        if None in (head.compiled, *(layer.compiled for layer in layers)):
            return False
        self._layers, self._head = layers, head
        return True

    def _decode_prompts(self, image: Tensor, features: Tensor, whole: bool = False) -> Tensor:
        """Decode as `decode` does, as many prompts at a time as suit the device. whole: all prompts at a time."""
        first = self._condition_at
        common = image[0][None]
        for index in range(first):
            common = self._layers[index](common) + image[index + 1]
        conditions = (self._decoder.film_mul(features), self._decoder.film_add(features))
        single = len(features) == 1

        def decode_chunk(condition: Sequence[Tensor]) -> Tensor:
            mul, add = condition
            x = self._layers[first](mul[:, None] * common + add[:, None])
            for index in range(first + 1, len(self._layers)):
                x = self._layers[index](x + image[index])
            return self._head(x[:, 1:], single)

        if whole:
            return decode_chunk(conditions)
        split = (torch.split(condition, self._prompts_per_batch) for condition in conditions)
        return self._decode_chunks(decode_chunk, list(zip(*split, strict=True)))

    def _decode_chunks(
        self, decode_chunk: Callable[[Chunk], Tensor], chunks: Sequence[Chunk]
    ) -> Tensor:
        """Decode the first chunks on a core each, where this thread may use several, then the rest."""
        logits: list[Tensor] = []
        if self._threads is not None and torch.get_num_threads() > 1:
            logits = self._threads.map(torch.inference_mode()(decode_chunk), chunks)
        return torch.cat(logits + [decode_chunk(chunk) for chunk in chunks[len(logits) :]])


def _vision_layer(layer: CLIPSegEncoderLayer, hidden: Tensor) -> Tensor:
    """Compute a layer of transformers' image encoder for (B, tokens, width)."""
    attention = layer.self_attn
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    normed = layer.layer_norm1(hidden)
    q, k, v = (
        project(normed).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
        for project in projections
    )
    hidden = hidden + attention.out_proj(attend(q, k, v).transpose(1, 2).flatten(2))
    encoded: Tensor = hidden + layer.mlp(layer.layer_norm2(hidden))
    return encoded


class _DecoderLayer:
    """A layer of transformers' decoder, with a norm after attention and MLP, and with few passes over memory."""

    def __init__(self, layer: CLIPSegDecoderLayer, dtype: torch.dtype | None = None) -> None:
        """Compute in C, where that is possible, in the dtype of the weights or in `dtype`."""
        self.compiled = compiled_layer(layer, dtype or layer.mlp.fc1.weight.dtype)
        attention = layer.self_attn
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        self._qkv_weight = torch.cat([p.weight for p in projections])
        self._qkv_bias = torch.cat([p.bias for p in projections])
        self._heads: int = attention.num_heads
        self._out = attention.out_proj
        self.joined = (self._qkv_weight, self._qkv_bias)
        self._norm1, self._norm2 = layer.layer_norm1, layer.layer_norm2
        self._fc1, self._fc2 = layer.mlp.fc1, layer.mlp.fc2
        weight = self._fc1.weight
        # Half precision would round the sum after each part.
        in_parts = weight.device.type == "cpu" and weight.dtype == torch.float32
        self._hidden = self._parts() if in_parts else []

    def _parts(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return the weights and biases of the hidden units, and those from them, _HIDDEN units at a time."""
        parts = zip(
            self._fc1.weight.split(_HIDDEN),
            self._fc1.bias.split(_HIDDEN),
            self._fc2.weight.split(_HIDDEN, 1),
            strict=True,
        )
        return [(weight.t(), bias, out.contiguous().t()) for weight, bias, out in parts]

    def __call__(self, x: Tensor) -> Tensor:
        """Map (n, tokens, reduce_dim) to the same shape."""
        if self.compiled is not None and not torch.onnx.is_in_onnx_export():
            return self.compiled(x)
        n, tokens, width = x.shape
        qkv = functional.linear(x, self._qkv_weight, self._qkv_bias)
        q, k, v = qkv.view(n, tokens, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
        attended = attend(q, k, v)
        x = self._norm1(self._out(attended.transpose(1, 2).reshape(n, tokens, width)) + x)
        x = self._mlp(x.reshape(-1, width)).view(n, tokens, width) + x
        normalised: Tensor = self._norm2(x)
        return normalised

    def _mlp(self, x: Tensor) -> Tensor:
        """Map (rows, reduce_dim) to the same shape."""
        if not self._hidden or torch.onnx.is_in_onnx_export():  # an engine divides the work itself
            whole: Tensor = self._fc2(functional.relu_(self._fc1(x)))
            return whole
        outputs: Tensor = self._fc2.bias.repeat(len(x), 1)
        for weight, bias, weight_out in self._hidden:
            outputs.addmm_(functional.relu_(torch.addmm(bias, x, weight)), weight_out)
        return outputs
