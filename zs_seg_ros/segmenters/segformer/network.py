"""SegFormer's forward pass with all that is linear in its head done at once, and before anything is enlarged.

The head projects what each stage says, enlarges it to the size of the first, joins the four and mixes them: on B0
half of the whole arithmetic. Mixing each place by itself and resizing can change places, so that here each stage has
one matrix (projection, mixing and batch norm in one) that works on its own few places. The logits are the same.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from transformers import SegformerForSemanticSegmentation


class SegFormerNetwork(nn.Module):
    """A loaded model for inference; its decode head is not used any more."""

    def __init__(self, loaded: SegformerForSemanticSegmentation) -> None:
        super().__init__()
        self.stages = loaded.segformer.stages
        self.mixers = _mixers(loaded)
        self.classifier = loaded.decode_head.classifier

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(B, 3, H, W) to logits (B, L, H / 4, W / 4) of all labels."""
        hidden = pixel_values
        mixed: list[Tensor] = []
        for stage, mixer in zip(self.stages, self.mixers, strict=True):
            hidden = stage(hidden)
            mixed.append(mixer(hidden))
        first, *others = mixed
        for other in others:
            first = first + functional.interpolate(other, first.shape[-2:], mode="bilinear")
        logits: Tensor = self.classifier(functional.relu(first))
        return logits


def _mixers(loaded: SegformerForSemanticSegmentation) -> nn.ModuleList:
    """One convolution of 1x1 for each stage. The first also adds all biases, and that of the batch norm."""
    head = loaded.decode_head
    norm = head.batch_norm
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    added = norm.bias.double() - norm.running_mean.double() * gain
    # The fourth stage comes first in what the head joins.
    parts = head.linear_fuse.weight.double()[:, :, 0, 0].chunk(len(head.linear_projections), dim=1)
    mixers = []
    for projection, part in zip(head.linear_projections, reversed(parts), strict=True):
        mix = gain[:, None] * part
        weight = mix @ projection.proj.weight.double()
        added = added + mix @ projection.proj.bias.double()
        mixer = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=False)
        mixer.weight = nn.Parameter(weight[:, :, None, None].to(norm.weight.dtype), False)
        mixers.append(mixer)
    mixers[0].bias = nn.Parameter(added.to(norm.weight.dtype), False)
    return nn.ModuleList(mixers)
