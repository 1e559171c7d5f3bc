# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""SegFormer's forward pass with the linear steps of its head merged, and computed before upsampling.

The head projects the output of each stage, upsamples it to the size of the first, concatenates the four and mixes them
with a 1x1 convolution: on B0 half of all operations. A 1x1 convolution and bilinear upsampling commute, so that here
each stage has one matrix (projection, mixing and batch norm in one) at its own lower resolution. The logits are equal
up to rounding.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from transformers import SegformerForSemanticSegmentation


class SegFormerNetwork(nn.Module):
    """A loaded model for inference, with its decode head replaced."""

    def __init__(self, loaded: SegformerForSemanticSegmentation) -> None:
        super().__init__()
        self.stages = loaded.segformer.stages
        self.mixers = _mixers(loaded)
        self.classifier = loaded.decode_head.classifier

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Compute logits (B, L, H / 4, W / 4) of all labels of images (B, 3, H, W)."""
        hidden = pixel_values
        mixed: list[Tensor] = []
        for stage, mixer in zip(self.stages, self.mixers, strict=True):
            hidden = stage(hidden)
            mixed.append(mixer(hidden))
        first, *others = mixed
        for lower in others:
            first = first + functional.interpolate(lower, first.shape[-2:], mode="bilinear")
        logits: Tensor = self.classifier(functional.relu(first))
        return logits


def _mixers(loaded: SegformerForSemanticSegmentation) -> nn.ModuleList:
    """Build a 1x1 convolution for each stage. The first also adds all biases, and that of the batch norm."""
    head = loaded.decode_head
    norm = head.batch_norm
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = norm.bias.double() - norm.running_mean.double() * gain
    # The head concatenates the stages in reverse order.
    weights = head.linear_fuse.weight.double()[:, :, 0, 0].chunk(
        len(head.linear_projections), dim=1
    )
    mixers = []
    for projection, stage_weight in zip(head.linear_projections, reversed(weights), strict=True):
        mix = gain[:, None] * stage_weight
        weight = mix @ projection.proj.weight.double()
        bias = bias + mix @ projection.proj.bias.double()
        mixer = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=False)
        mixer.weight = nn.Parameter(weight[:, :, None, None].to(norm.weight.dtype), False)
        mixers.append(mixer)
    mixers[0].bias = nn.Parameter(bias.to(norm.weight.dtype), False)
    return nn.ModuleList(mixers)
