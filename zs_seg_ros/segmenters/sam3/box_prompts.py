# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""SAM 3's geometry encoder: boxes around examples in an image to tokens that go behind those of the text.

The weights are those of transformers' model, whose own class calls torchvision's roi_align.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from zs_seg_ros.segmenters.sam3.network import ImageFeatures
from zs_seg_ros.segmenters.shared.transfers import uploaded


def encode_boxes(encoder: Any, image: ImageFeatures, boxes: Tensor) -> Tensor:
    """Encode boxes around examples to tokens (1, N + 1, C), of which the last is of all boxes together.

    encoder: a `Sam3GeometryEncoder`. boxes: (N, 4) float32 on the CPU, centre x and y, width and height as shares of
    the image.
    """
    level = image.levels[-1]
    shares = uploaded(boxes, level.device).to(level.dtype)
    normed = encoder.vision_layer_norm(level.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    pooled = roi_align(normed[0].float(), boxes, encoder.roi_size).to(level.dtype)
    positions = encoder._encode_box_coordinates(*shares.unbind(-1))
    of_boxes = (
        encoder.boxes_direct_project(shares)
        + encoder.boxes_pool_project(pooled).flatten(1)
        + encoder.boxes_pos_enc_project(positions)
        + encoder.label_embed.weight[1]  # 0 is of boxes that mark what is not meant
    )
    tokens = torch.cat([of_boxes, encoder.cls_embed.weight])[None]
    tokens = encoder.prompt_layer_norm(encoder.final_proj(tokens))
    flat, position = (x.flatten(2).transpose(1, 2) for x in (level, image.position))
    for layer in encoder.layers:
        tokens = layer(
            prompt_feats=tokens, vision_feats=flat, vision_pos_encoding=position, prompt_mask=None
        )
    normalised: Tensor = encoder.output_layer_norm(tokens)
    return normalised


def roi_align(features: Tensor, boxes: Tensor, bins: int) -> Tensor:
    """Average features (C, h, w) over the bins of boxes (N, 4): (N, C, bins, bins).

    boxes: centre x and y, width and height as shares of the image. The sampling points are those of torchvision's
    `roi_align` by default: not aligned, about one per cell. They form a grid, so that each axis is averaged by itself.
    """
    height, width = features.shape[1:]
    pooled = []
    for x, y, box_width, box_height in boxes.tolist():
        rows = _averages((y - box_height / 2) * height, box_height * height, height, bins)
        columns = _averages((x - box_width / 2) * width, box_width * width, width, bins)
        rows, columns = (uploaded(axis, features.device) for axis in (rows, columns))
        pooled.append(torch.einsum("ph,chw,qw->cpq", rows, features, columns))
    return torch.stack(pooled)


def _averages(start: float, length: float, cells: int, bins: int) -> Tensor:
    """Return the weights (bins, cells) of the mean over the sampling points of each bin along one axis."""
    length = max(length, 1.0)
    samples = math.ceil(length / bins)
    step = length / bins / samples
    points = start + (torch.arange(bins * samples) + 0.5) * step
    inside = (points >= -1) & (points <= cells)
    points = points.clamp(0, cells - 1)
    low = points.floor().long()
    share = points - low
    weights = torch.zeros(len(points), cells)
    rows = torch.arange(len(points))
    weights[rows, low] += 1 - share
    weights[rows, (low + 1).clamp(max=cells - 1)] += share
    return (weights * inside[:, None]).view(bins, samples, cells).mean(dim=1)
