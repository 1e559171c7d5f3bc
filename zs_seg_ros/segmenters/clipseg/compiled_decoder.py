# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""CLIPSeg's decoder in C, for processors with vectors for it: src/decoder_layer.h and src/decoder_upsampling.h."""

from __future__ import annotations

import math
from collections.abc import Sequence
from ctypes import CDLL, c_int32, c_void_p
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.clipseg.modeling_clipseg import CLIPSegDecoderLayer

from zs_seg_ros.kernels import compiled_kernels
from zs_seg_ros.segmenters.shared.processor import Processor, this_processor

_WIDTH, _HEADS, _HIDDEN, _PACK, _TIMES = 64, 4, 64, 8, 4
"""As in src/decoder.h and the files that include it."""
Block = tuple[Tensor, Tensor, int]
"""A transposed convolution as `Head` has it."""
_AVX512 = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"})


@dataclass(frozen=True)
class CompiledFunctions:
    """The functions for one kind of processor and for products of `dtype`. They let other threads of Python run."""

    layer: Any
    upsampling: Any
    dtype: torch.dtype

    def packed(self, matrix: Tensor) -> Tensor:
        """Order weights (outputs, inputs) as C reads them."""
        step = 2 if self.dtype == torch.bfloat16 else 1
        blocks = matrix.detach().to(self.dtype).reshape(-1, _PACK, matrix.shape[1] // step, step)
        return blocks.transpose(1, 2).flatten()


def compiled_functions(device: torch.device, dtype: torch.dtype) -> CompiledFunctions | None:
    """Return the functions for a device and for products of `dtype`; None where torch computes the decoder."""
    processor, kernels = kind_of_processor(dtype, this_processor()), compiled_kernels()
    if device.type != "cpu" or processor is None or kernels is None:
        return None
    return functions_of(kernels.library, processor, dtype)


def functions_of(library: CDLL, processor: str, dtype: torch.dtype) -> CompiledFunctions | None:
    """Return those of a library; None for a library of another kind of machine."""
    try:
        layer = getattr(library, f"zs_seg_decoder_layer_{processor}")
        upsampling = getattr(library, f"zs_seg_decoder_upsampling_{processor}")
    except AttributeError:
        return None
    layer.restype = upsampling.restype = c_int32
    layer.argtypes = (c_void_p, c_void_p, c_int32, c_int32, c_void_p, c_void_p)
    upsampling.argtypes = (c_void_p, c_void_p, c_int32, c_void_p, c_void_p)
    return CompiledFunctions(layer, upsampling, dtype)


def kind_of_processor(dtype: torch.dtype, processor: Processor) -> str | None:
    """Return which functions are faster than torch with products of `dtype`; None where none is known to be."""
    flags = processor.flags
    if dtype == torch.float32 and flags >= _AVX512:
        return "avx512"
    if dtype == torch.float32 and flags >= {"avx2", "fma"}:
        return "avx2"
    has_bf16 = flags >= _AVX512 | {"avx512_bf16"} and "amx_bf16" not in flags
    return "avx512_bf16" if dtype == torch.bfloat16 and has_bf16 else None


def compiled_layer(layer: CLIPSegDecoderLayer, dtype: torch.dtype) -> CompiledLayer | None:
    """Return a layer in C. None where torch computes it, and for other shapes than that of "rd64" models."""
    weight = layer.mlp.fc1.weight
    functions = compiled_functions(weight.device, dtype)
    hidden, width = weight.shape
    shape = width, layer.self_attn.num_heads, hidden % _HIDDEN
    return CompiledLayer(functions, layer) if functions and shape == (_WIDTH, _HEADS, 0) else None


def compiled_upsampling(
    convolution: nn.Conv2d | None, blocks: Sequence[Block], dtype: torch.dtype
) -> CompiledUpsampling | None:
    """Return the upsampling in C. None where torch computes it, and for other shapes than that of "rd64-refined"."""
    functions = compiled_functions(blocks[0][0].device, dtype)
    square, inner = _TIMES**2, _WIDTH // 2
    shapes = [tuple(weight.shape) for weight, *_ in blocks]
    if convolution is None or shapes != [(square * inner, _WIDTH), (square, inner)]:
        return None
    fits = tuple(convolution.weight.shape) == (_WIDTH, _WIDTH, 3, 3)
    return CompiledUpsampling(functions, convolution, blocks) if functions and fits else None


class CompiledLayer:
    """A layer of the decoder. Thread-safe."""

    def __init__(self, functions: CompiledFunctions, layer: CLIPSegDecoderLayer) -> None:
        """Copy the weights."""
        attention, mlp = layer.self_attn, layer.mlp
        # What turns the products of queries and keys into exponents of 2.
        factor = math.log2(math.e) / math.sqrt(_WIDTH / _HEADS)
        projections = (attention.k_proj, attention.v_proj, attention.out_proj)
        parts = zip(mlp.fc1.weight.split(_HIDDEN), mlp.fc2.weight.split(_HIDDEN, 1), strict=True)
        matrices = [
            attention.q_proj.weight.float() * factor,
            *(each.weight for each in projections),
        ]
        matrices += [matrix for part in parts for matrix in part]
        constants = [attention.q_proj.bias.float() * factor]
        constants += [each.bias for each in (*projections, mlp.fc1, mlp.fc2)]
        for norm in (layer.layer_norm1, layer.layer_norm2):
            constants += [norm.weight, norm.bias, torch.tensor([norm.eps])]
        self._function = functions.layer
        self._hidden: int = mlp.fc1.out_features
        self._matrices = torch.cat([functions.packed(matrix) for matrix in matrices])
        self._constants = _floats(constants)

    def __call__(self, x: Tensor) -> Tensor:
        """Map (n, tokens, 64) to the same shape, float32. Raises MemoryError."""
        x = x.float().contiguous()
        y = torch.empty_like(x)
        weights = self._matrices.data_ptr(), self._constants.data_ptr(), self._hidden
        for image, result in zip(x, y, strict=True):
            if self._function(*weights, len(image), image.data_ptr(), result.data_ptr()):
                raise MemoryError(f"there is no memory for a layer of {len(image)} tokens")
        return y


class CompiledUpsampling:
    """The "refined" upsampling. Thread-safe."""

    def __init__(
        self, functions: CompiledFunctions, convolution: nn.Conv2d, blocks: Sequence[Block]
    ) -> None:
        """Copy the weights."""
        (first, first_bias, _), (second, second_bias, _) = blocks
        neighbours = convolution.weight.permute(2, 3, 0, 1).flatten(0, 1)
        matrices = [*neighbours, first, second]
        inner = len(first) // _TIMES**2
        assert convolution.bias is not None
        self._function = functions.upsampling
        self._matrices = torch.cat([functions.packed(matrix) for matrix in matrices])
        self._constants = _floats([convolution.bias, first_bias[:inner], second_bias[:1]])

    def __call__(self, tokens: Tensor) -> Tensor:
        """Map the tokens (n, side * side, 64) of a grid to logits (n, 16 * side, 16 * side). Raises MemoryError."""
        tokens = tokens.float().contiguous()
        side = math.isqrt(tokens.shape[1])
        logits = torch.empty(len(tokens), side * _TIMES**2, side * _TIMES**2)
        weights = self._matrices.data_ptr(), self._constants.data_ptr()
        for image, result in zip(tokens, logits, strict=True):
            if self._function(*weights, side, image.data_ptr(), result.data_ptr()):
                raise MemoryError(f"there is no memory for a grid of {side}x{side} tokens")
        return logits


def _floats(constants: list[Tensor]) -> Tensor:
    return torch.cat([each.detach().float() for each in constants])
