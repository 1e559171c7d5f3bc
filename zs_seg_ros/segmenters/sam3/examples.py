# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The detection of objects like the examples of a class, with SAM 3."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.segmenters.sam3.box_prompts import encode_boxes
from zs_seg_ros.segmenters.sam3.network import Candidates, ImageFeatures, Sam3Network, TextFeatures


def detect_like(
    network: Sam3Network, canvas: ImageFeatures, boxes: Tensor, text: TextFeatures
) -> Candidates:
    """Return scores and boxes of all queries for the examples in a canvas.

    boxes: (N, 4), as in `ExampleStrip.boxes`. text: the features of one phrase.
    """
    tokens = encode_boxes(network.model.geometry_encoder, canvas, boxes)
    present = text.present.new_ones(1, tokens.shape[1])
    both = TextFeatures(
        torch.cat([text.tokens, tokens], dim=1), torch.cat([text.present, present], dim=1)
    )
    return network.detect(canvas, both)


def below_strip(boxes: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Return the indices (M,) of the queries whose centre is below a strip, and their boxes (M, 4) in the image there.

    boxes: (Q, 4), of the queries in the canvas. share: of the height of the canvas that the strip takes. Boxes: left,
    top, right, bottom, as shares of the canvas and of the image.
    """
    below = ((boxes[:, 1] + boxes[:, 3]) / 2 > share).nonzero()[:, 0]
    left, top, right, bottom = boxes[below].unbind(dim=1)
    top, bottom = ((y - share) / (1 - share) for y in (top, bottom))
    return below, torch.stack([left, top.clamp(min=0), right, bottom], dim=1)


def masks_below_strip(masks: Tensor, share: float) -> Tensor:
    """Cut the masks (M, h, w) of a canvas off at the strip, and resize what is below to (M, h, w)."""
    height = masks.shape[1]
    below = masks[:, round(height * share) :]
    if not len(below):
        return masks
    resized = functional.interpolate(below[None], tuple(masks.shape[1:]), mode="bilinear")
    return resized[0]
