"""CLIPSeg with everything done once that does not depend on the phrase.

transformers' forward pass takes one copy of the image for each phrase. Here an image goes through the
image encoder once, no further than the last layer that the decoder reads, and is reduced to the
decoder's width once. What is left to do for each phrase starts at the FiLM layer (Perez et al. 2018),
where CLIPSeg brings phrase and image together (Lüddecke & Ecker 2022, "Image Segmentation Using Text
and Image Prompts", section 3). The weights are those of transformers' model, and the logits are equal
to those of its forward pass up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPSegForImageSegmentation
from transformers.models.clipseg.modeling_clipseg import CLIPSegDecoderLayer

_AT_ONCE = {"cpu": 1, "cuda": 64}
"""Images, and phrases of an image. One phrase's tensors stay in a CPU's cache, and alone no result depends
on its neighbours, not even in the last bit. A GPU is filled by many; 64 phrases take 0.3 GB in half precision."""


class ClipSegNetwork:
    """Works with the weights of `model`, which must not be moved afterwards."""

    def __init__(self, model: CLIPSegForImageSegmentation, compiled: bool = False) -> None:
        config, decoder = model.config, model.decoder
        self.model = model
        self._vision = model.clip.vision_model
        self._extracted = tuple(config.extract_layers)[::-1]  # the decoder starts from the deepest
        self._condition_at: int = config.conditional_layer
        self._decoder = decoder
        self._layers = [_DecoderLayer(layer) for layer in decoder.layers]
        self._head = _Head(decoder.transposed_convolution)
        self._prompts_per_batch = self._images_per_batch = _AT_ONCE[model.device.type]
        self._encode: Callable[[Tensor], Tensor] = self._encode_images
        if compiled:
            # One shape only: another number of images would be compiled again, for seconds, while they wait.
            self._images_per_batch = 1
            self._encode = torch.compile(self._encode_images, dynamic=False)

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Images (B, 3, H, W) to what the decoder reads of them: (B, depth, 1 + tokens, reduce_dim)."""
        return torch.cat(
            [self._encode(part) for part in torch.split(pixels, self._images_per_batch)]
        )

    def _encode_images(self, pixels: Tensor) -> Tensor:
        hidden = self._vision.pre_layrnorm(self._vision.embeddings(pixels))
        read: dict[int, Tensor] = {}
        for index, layer in enumerate(self._vision.encoder.layers[: max(self._extracted) + 1]):
            hidden = layer(hidden, None)
            read[index] = hidden
        pairs = zip(self._decoder.reduces, self._extracted, strict=True)
        return torch.stack([reduce(read[index]) for reduce, index in pairs], dim=1)

    def decode(self, image: Tensor, features: Tensor) -> Tensor:
        """One image of `encode_images` (depth, 1 + tokens, reduce_dim) and phrases (P, D) to logits.

        features: conditional embeddings, of words or of exemplars. Returns (P, h, w) float32.
        """
        first = self._condition_at
        common = image[0][None]
        for index in range(first):
            common = self._layers[index](common) + image[index + 1]
        mul, add = self._decoder.film_mul(features), self._decoder.film_add(features)
        logits = []
        parts = (torch.split(t, self._prompts_per_batch) for t in (mul, add))
        for m, a in zip(*parts, strict=True):
            x = self._layers[first](m[:, None] * common + a[:, None])
            for index in range(first + 1, len(self._layers)):
                x = self._layers[index](x + image[index])
            logits.append(self._head(x[:, 1:], alone=len(features) == 1).float())
        return torch.cat(logits)


class _DecoderLayer:
    """A layer of transformers' decoder, normalised after each half, with as few passes over memory."""

    def __init__(self, layer: CLIPSegDecoderLayer) -> None:
        attention = layer.self_attn
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        self._qkv_weight = torch.cat([p.weight for p in projections])
        self._qkv_bias = torch.cat([p.bias for p in projections])
        self._heads: int = attention.num_heads
        self._out = attention.out_proj
        self._norm1, self._norm2 = layer.layer_norm1, layer.layer_norm2
        self._fc1, self._fc2 = layer.mlp.fc1, layer.mlp.fc2

    def __call__(self, x: Tensor) -> Tensor:
        """(n, tokens, reduce_dim) to the same."""
        n, tokens, width = x.shape
        qkv = functional.linear(x, self._qkv_weight, self._qkv_bias)
        q, k, v = qkv.view(n, tokens, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        x = self._norm1(self._out(mixed.transpose(1, 2).reshape(n, tokens, width)) + x)
        x = self._fc2(functional.relu_(self._fc1(x))) + x
        normalised: Tensor = self._norm2(x)
        return normalised


class _Head:
    """From tokens to pixels. A transposed convolution whose stride is its kernel's size turns each cell of
    the grid into a block of its own, so it is a matrix product and a change of order, which is several
    times faster on a CPU."""

    def __init__(self, upsampling: nn.Module) -> None:
        parts = list(upsampling.modules())
        # Only the "refined" checkpoints have a convolution, and two steps upwards in place of one.
        self._convolution = next((part for part in parts if isinstance(part, nn.Conv2d)), None)
        transposed = [part for part in parts if isinstance(part, nn.ConvTranspose2d)]
        self._blocks = [_block_weights(t) for t in transposed]

    def __call__(self, tokens: Tensor, alone: bool) -> Tensor:
        """(n, side * side, reduce_dim) to (n, height, width). alone: there is no other phrase."""
        n, count, width = tokens.shape
        side = math.isqrt(count)
        cells = tokens.reshape(n, side, side, width)
        if self._convolution is not None:
            grid = cells.permute(0, 3, 1, 2)
            # The layout decides how a CPU adds up. transformers gets this one when there is one phrase and the
            # other when there are several; to do the same keeps the logits equal to the last bit.
            grid = grid.contiguous() if alone else grid
            cells = self._convolution(grid).permute(0, 2, 3, 1).relu_()
        for index, (weight, bias, size) in enumerate(self._blocks):
            if index:
                cells = cells.relu_()
            blocks = functional.linear(cells, weight, bias)
            cells = blocks.reshape(*cells.shape[:-1], size, size, -1)
        # Now (n, row, column, row in block, column in block, …, 1): all rows first, then all columns.
        rows, columns = range(1, cells.ndim - 1, 2), range(2, cells.ndim - 1, 2)
        ordered = cells[..., 0].permute(0, *rows, *columns)
        pixels = math.isqrt(ordered[0].numel())
        return ordered.reshape(n, pixels, pixels)


def _block_weights(transposed: nn.ConvTranspose2d) -> tuple[Tensor, Tensor, int]:
    """The weight (size * size * outputs, inputs) and bias of the same step as a linear layer."""
    inputs, size = transposed.weight.shape[0], transposed.weight.shape[2]
    weight = transposed.weight.permute(2, 3, 1, 0).reshape(-1, inputs)
    assert transposed.bias is not None
    return weight.contiguous(), transposed.bias.repeat(size * size), size
