# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""OWLv2's queries from example images: one-shot detection as in OWL-ViT (Minderer et al. 2022, arXiv 2205.06230).

An example image is encoded as any other, and the class embedding of one of its boxes takes the place of a text
embedding. transformers' `Owlv2ForObjectDetection` takes the box of the highest objectness in the whole image. Where the
object is marked, that box is chosen among those that fit the marked one as well as the best, within 80 % of its IoU,
as the authors of OWL-ViT and transformers' `OwlViTForObjectDetection` choose candidates.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from transformers import Owlv2ForObjectDetection
from transformers.models.owlvit.modeling_owlvit import box_iou, generalized_box_iou

from zs_seg_ros.segmenters.boxes_then_masks.detr_images import to_corners
from zs_seg_ros.segmenters.finite import check_finite
from zs_seg_ros.segmenters.instance_labels import cut_out
from zs_seg_ros.types import size_of
from zs_seg_ros.vocabulary.vocabulary import Exemplar

_OF_BEST_IOU = 0.8


def query_embedding(
    network: Owlv2ForObjectDetection, features: Tensor, boxes: Tensor, example: Exemplar
) -> Tensor:
    """Return the class embedding of the object in an example image, a unit vector (1, D).

    features: (N, C) of its patches. boxes: (N, 4) of these, as centre, width and height in shares of the longer side of
    the image.
    """
    objectness = network.objectness_predictor(features[None])[0].float()
    check_finite(objectness)
    if example.mask is not None:
        fits = _fitting(boxes.float(), example)
        objectness = objectness.masked_fill(~fits, -torch.inf)
    _, embeddings = network.class_predictor(features[None])
    return functional.normalize(embeddings[0, objectness.argmax()][None], dim=-1)


def _fitting(boxes: Tensor, example: Exemplar) -> Tensor:
    """Return for each box (N, 4) whether it fits the marked object nearly as well as the best, (N,) bool."""
    assert example.mask is not None
    marked = cut_out(example.mask, 1.0).box
    right, bottom = marked.left + marked.width, marked.top + marked.height
    own = boxes.new_tensor([[marked.left, marked.top, right, bottom]])
    longest = max(size_of(example.image))
    corners = to_corners(boxes, (longest, longest))
    iou: Tensor = box_iou(own, corners)[0][0]
    best = iou.max()
    if best > 0:
        return iou >= _OF_BEST_IOU * best
    closeness: Tensor = generalized_box_iou(own, corners)[0]
    return closeness == closeness.max()
