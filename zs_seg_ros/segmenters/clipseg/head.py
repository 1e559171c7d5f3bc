# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""CLIPSeg's upsampling: from the decoder's tokens to the logits of pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from zs_seg_ros.segmenters.clipseg.compiled_decoder import compiled_upsampling


class Head:
    """Decodes tokens to pixels.

    A transposed convolution whose stride equals its kernel's size turns each cell of the grid into a block of its own.
    Here it is computed as a matrix product and a permutation, which is several times faster on a CPU.
    """

    def __init__(self, upsampling: nn.Module, dtype: torch.dtype | None = None) -> None:
        """Compute in C, where that is possible, in the dtype of the weights or in `dtype`."""
        layers = list(upsampling.modules())
        # Only the "refined" checkpoints have a convolution, and two transposed convolutions instead of one.
        self._convolution = next((layer for layer in layers if isinstance(layer, nn.Conv2d)), None)
        transposed = [layer for layer in layers if isinstance(layer, nn.ConvTranspose2d)]
        self.blocks = [_block_weights(t) for t in transposed]
        dtype = dtype or transposed[0].weight.dtype
        self.compiled = compiled_upsampling(self._convolution, self.blocks, dtype)

    def __call__(self, tokens: Tensor, single: bool) -> Tensor:
        """Decode (n, side * side, reduce_dim) to (n, height, width), float32. single: whether there is one prompt."""
        if self.compiled is not None and not torch.onnx.is_in_onnx_export():
            return self.compiled(tokens)
        n, count, width = tokens.shape
        side = math.isqrt(count)
        cells = tokens.to(self.blocks[0][0].dtype).reshape(n, side, side, width)
        if self._convolution is not None:
            grid = cells.permute(0, 3, 1, 2)
            # The memory layout decides the order of a CPU's sums. transformers has the contiguous layout for one
            # prompt and the permuted one for several; the same choice keeps the difference of the logits smallest.
            grid = grid.contiguous() if single else grid
            cells = self._convolution(grid).permute(0, 2, 3, 1).relu_()
        for index, (weight, bias, size) in enumerate(self.blocks):
            if index:
                cells = cells.relu_()
            blocks = functional.linear(cells, weight, bias)
            cells = blocks.reshape(*cells.shape[:-1], size, size, -1)
        # The shape is (n, row, column, row in block, column in block, …, 1): move all rows before all columns.
        rows, columns = range(1, cells.ndim - 1, 2), range(2, cells.ndim - 1, 2)
        logits = cells[..., 0].float()
        pixels = math.isqrt(logits[0].numel())
        # A CPU moves four logits of a row as fast as one.
        on_cpu = logits.device.type == "cpu" and not torch.onnx.is_in_onnx_export()
        by_four = on_cpu and logits.shape[-1] % 4 == 0
        if by_four:
            logits = logits.view(torch.complex128)
        ordered = logits.permute(0, *rows, *columns).reshape(n, pixels, -1)
        return ordered.view(torch.float32) if by_four else ordered


def _block_weights(transposed: nn.ConvTranspose2d) -> tuple[Tensor, Tensor, int]:
    """Convert to a linear layer: weight (size * size * outputs, inputs), bias (size * size * outputs,) and size."""
    inputs, size = transposed.weight.shape[0], transposed.weight.shape[2]
    weight = transposed.weight.permute(2, 3, 1, 0).reshape(-1, inputs)
    assert transposed.bias is not None
    return weight.contiguous(), transposed.bias.repeat(size * size), size
