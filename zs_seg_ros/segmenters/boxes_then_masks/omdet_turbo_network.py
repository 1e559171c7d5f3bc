# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""OmDet-Turbo's decoder for images and a task without padding: transformers' layers, run without waiting for a GPU.

transformers' forward pass asks the device in every call whether a token of the task is padding, and uploads the sizes
of the feature maps and the places of their cells. Here no token is padding, and what depends on sizes alone is on the
device already. Classes and boxes of the last layer are equal to those of its forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor
from transformers.models.omdet_turbo.modeling_omdet_turbo import (
    OmDetTurboDecoder,
    _inverse_sigmoid,
    get_class_similarity,
)

from zs_seg_ros.segmenters.shared.constants import constant_integers

_SIZES_KEPT = 8  # 1 MB of anchors each


def keep_anchors(decoder: OmDetTurboDecoder) -> None:
    """Compute the anchors of each size once, in a cache of the decoder's own.

    transformers' cache is global and would keep the weights of a closed model in memory.
    """
    compute = partial(type(decoder).generate_anchors.__wrapped__, None)
    decoder.generate_anchors = lru_cache(maxsize=_SIZES_KEPT)(compute)


def decode(
    decoder: OmDetTurboDecoder, maps: Sequence[Tensor], classes: Tensor, task: Tensor
) -> tuple[Tensor, Tensor]:
    """Return logits (B, Q, C) of classes and boxes (B, Q, 4) as centre, width and height in 0..1.

    maps: feature maps (B, D, h, w), the finest first. classes: (C, B, D). task: (T, B, D), none of it padding.
    """
    projected = [
        project(level)
        for project, level in zip(decoder.channel_projection_layers, maps, strict=False)
    ]
    sizes = tuple((level.shape[2], level.shape[3]) for level in projected)
    cells = torch.cat([level.flatten(2).permute(0, 2, 1) for level in projected], dim=1)
    shapes, starts = _layout(sizes, cells.device)
    task = decoder.task_encoder(task)
    if decoder.task_project is not None:
        task = decoder.task_project(task)
    queries, boxes, *_ = decoder._get_decoder_input(cells, sizes, classes)
    boxes = boxes.sigmoid()
    for layer, box_head in zip(decoder.layers, decoder.decoder_bbox_head, strict=False):
        queries, task, *_ = layer(
            queries,
            task,
            boxes,
            cells,
            shapes,
            list(sizes),
            level_start_index=starts,
            attention_mask=None,
            query_position=decoder.query_position_head(boxes),
        )
        boxes = torch.sigmoid(box_head(queries) + _inverse_sigmoid(boxes))
    last = decoder.decoder_num_layers - 1
    of_classes = decoder.decoder_class_head[last](classes).permute(1, 2, 0)
    return get_class_similarity(decoder.class_distance_type, queries, of_classes), boxes


def _layout(sizes: Sequence[tuple[int, int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the sizes (L, 2) and the index of the first cell (L,) of each feature map on a device."""
    shapes: Any = constant_integers(tuple(side for size in sizes for side in size), device)
    starts = [0]
    for height, width in sizes[:-1]:
        starts.append(starts[-1] + height * width)
    return shapes.view(-1, 2), constant_integers(tuple(starts), device)
