# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The image encoders of the dense embedding models: of shape, a U-Net (Ronneberger et al. 2015), and of colour."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from zs_seg_ros.segmenters.dense.config import DenseConfig

_STAGES = ((1, 3, 1, 1), (6, 3, 2, 2), (6, 5, 2, 2), (6, 3, 2, 3), (6, 5, 1, 3))
"""(expansion, kernel size, stride, blocks) of the first five stages of EfficientNet-Lite0."""
_EPSILON = 1e-3
"""Of EfficientNet's batch normalisation; its running variances are made with it."""
_PRETRAINED_TENTHS = 7
"""The pretrained encoder sees images at this many tenths of their size: half of its time, and equally good masks."""


class _Convolution(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, stride: int = 1, size: int = 3) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _Convolution(width, width)
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


class _Up(nn.Module):
    """Doubles the resolution and adds the encoder's features of that resolution."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.skip = nn.Conv2d(skip, outputs, 1, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)
        self.refine = _Convolution(outputs, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        larger = functional.interpolate(self.reduce(x), size=skip.shape[-2:], mode="bilinear")
        return self.refine(functional.relu(self.norm(larger + self.skip(skip))))  # type: ignore[no-any-return]


def _bounded(
    inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Make a convolution whose outputs are in 0..6, as those of EfficientNet-Lite are."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=_EPSILON),
        nn.ReLU6(inplace=True),
    )


class _InvertedResidual(nn.Module):
    """The block of MobileNetV2 (Sandler et al. 2018): wide and depthwise in between, narrow where it adds."""

    def __init__(self, inputs: int, outputs: int, expansion: int, size: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = _bounded(inputs, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = _bounded(wide, wide, size, stride, groups=wide)
        self.project = nn.Sequential(
            nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs, eps=_EPSILON)
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.adds else y


class ShapeEncoder(nn.Module):
    """A U-Net over brightness alone (B, 1, H, W), so that the kind of an object cannot depend on its colour."""

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        a, b, c, d = config.widths
        self.stem = nn.Sequential(_Convolution(1, a, 2, size=5), _Convolution(a, a))
        self.quarter = nn.Sequential(_Convolution(a, b, 2), _Residual(b), _Residual(b))
        self.eighth = nn.Sequential(_Convolution(b, c, 2), _Residual(c), _Residual(c))
        self.sixteenth = nn.Sequential(_Convolution(c, d, 2), _Residual(d))
        self.up_eighth = _Up(d, c, c)
        self.up_quarter = _Up(c, b, b)
        self.up_half = _Up(b, a, a + a // 2)
        self.embed = nn.Conv2d(a + a // 2, config.embedding_dim - config.colour_dim, 1)

    def forward(self, brightness: Tensor) -> Tensor:
        half = self.stem(brightness)
        quarter = self.quarter(half)
        eighth = self.eighth(quarter)
        features = self.up_eighth(self.sixteenth(eighth), eighth)
        features = self.up_half(self.up_quarter(features, quarter), half)
        return self.embed(features)  # type: ignore[no-any-return]


class PretrainedEncoder(nn.Module):
    """A second U-Net over brightness, whose embeddings are added to those of the first.

    Its way down is that of EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946; without squeeze and excitation, with
    ReLU6) up to a sixteenth of the size, so that training can begin from weights that photographs gave. It tells kinds
    apart better than the first encoder, which draws the better edges.
    """

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        a, b, c, _ = config.widths
        stem, *stages = config.backbone_widths
        self.stem = _bounded(1, stem, 3, 2)
        self.stages = nn.ModuleList()
        inputs = stem
        for outputs, (expansion, size, stride, repeats) in zip(stages, _STAGES, strict=True):
            first = _InvertedResidual(inputs, outputs, expansion, size, stride)
            others = (
                _InvertedResidual(outputs, outputs, expansion, size, 1) for _ in range(repeats - 1)
            )
            self.stages.append(nn.Sequential(first, *others))
            inputs = outputs
        half, quarter, eighth, _, deep = stages
        self.up_eighth = _Up(deep, eighth, c)
        self.up_quarter = _Up(c, quarter, b)
        self.up_half = _Up(b, half, a + a // 2)
        self.embed = nn.Conv2d(a + a // 2, config.embedding_dim - config.colour_dim, 1)

    def forward(self, brightness: Tensor) -> Tensor:
        """Embed brightness (B, 1, H, W) as (B, D, H/2, W/2), rounded up."""
        height, width = brightness.shape[-2:]
        smaller = ((height * _PRETRAINED_TENTHS + 9) // 10, (width * _PRETRAINED_TENTHS + 9) // 10)
        embedded = self._embed(functional.interpolate(brightness, size=smaller, mode="bilinear"))
        size = ((height + 1) // 2, (width + 1) // 2)
        return functional.interpolate(embedded, size=size, mode="bilinear")

    def _embed(self, brightness: Tensor) -> Tensor:
        to_half, to_quarter, to_eighth, to_sixteenth, deepest = self.stages
        half = to_half(self.stem(brightness))
        quarter = to_quarter(half)
        eighth = to_eighth(quarter)
        features = self.up_eighth(deepest(to_sixteenth(eighth)), eighth)
        features = self.up_half(self.up_quarter(features, quarter), half)
        return self.embed(features)  # type: ignore[no-any-return]


class _ColourEncoder(nn.Module):
    """A few layers over colour (B, 3, H, W), with enough context to compensate for the lighting."""

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        a, b = config.widths[:2]
        self.stem = nn.Sequential(_Convolution(3, a, 2, size=5), _Convolution(a, a))
        self.eighth = nn.Sequential(_Convolution(a, b, 2), _Convolution(b, b, 2), _Residual(b))
        self.up_half = _Up(b, a, a)
        self.embed = nn.Conv2d(a, config.colour_dim, 1)

    def forward(self, images: Tensor) -> Tensor:
        half = self.stem(images)
        return self.embed(self.up_half(self.eighth(half), half))  # type: ignore[no-any-return]


class ImageEncoder(nn.Module):
    """Embeds images (B, 3, H, W) in 0..1 as (B, D, H/2, W/2), rounded up.

    Shape and colour have separate encoders. One encoder for both learns from images without a red duck that a red
    object is no duck; separate encoders cannot, and detect ducks in colours that are missing from the training data.
    """

    brightness: Tensor

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        self.shape = ShapeEncoder(config)
        self.pretrained = PretrainedEncoder(config) if config.backbone_widths else None
        self.colour = _ColourEncoder(config)
        # Luma of ITU-R BT.601. On the CPU even where the weights have no memory yet, since no file holds it.
        weights = torch.tensor([0.299, 0.587, 0.114], device="cpu")
        self.register_buffer("brightness", weights[None, :, None, None], persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Embed images (B, 3, H, W) in 0..1 as (B, D, H/2, W/2), rounded up."""
        centred = (images - 0.5) * 4.0
        shape = self.embed_shape((centred * self.brightness).sum(dim=1, keepdim=True))
        return torch.cat([shape, self.colour(centred)], dim=1)

    def embed_shape(self, brightness: Tensor) -> Tensor:
        """Embed the shapes of brightness (B, 1, H, W) in -2..2: the sum of the encoders that there are."""
        shape: Tensor = self.shape(brightness)
        return shape if self.pretrained is None else shape + self.pretrained(brightness)


def fold_batch_norm(network: nn.Module) -> None:
    """Merge each batch normalisation into the convolutions before it, in place: equal outputs in less time."""
    for module in network.modules():
        if isinstance(module, nn.Sequential) and len(module) > 1:
            convolution, norm = module[0], module[1]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module[0] = fuse_conv_bn_eval(convolution, norm)
                module[1] = nn.Identity()
        elif isinstance(module, _Up) and isinstance(module.norm, nn.BatchNorm2d):
            _fold_sum(module, module.norm)


def _fold_sum(up: _Up, norm: nn.BatchNorm2d) -> None:
    """Merge the normalisation of a sum into both of its terms, one of which gets its offset."""
    offset_free = nn.Conv2d(up.reduce.in_channels, up.reduce.out_channels, 1, bias=False)
    offset_free.weight = fuse_conv_bn_eval(up.reduce, norm).weight
    up.reduce, up.skip = offset_free, fuse_conv_bn_eval(up.skip, norm)
    up.norm = nn.Identity()
