"""A detector finds the boxes of phrases, and a mask model cuts the things out of them.

The way of Grounded SAM (Ren et al. 2024, arXiv 2401.14159), for any `Detector` and any `BoxSegmenter`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zs_seg_ros.segmenters.base import EncodedVocabulary
from zs_seg_ros.segmenters.boxes_then_masks.boxes import Boxes, BoxSegmenter, Detector
from zs_seg_ros.segmenters.shared.instances import Instances, decode_instances, without_duplicates
from zs_seg_ros.segmenters.shared.prompts import flat_prompts, refuse_exemplars
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.segmenters.shared.torch_segmenter import TorchSegmenter
from zs_seg_ros.types import Batch, RgbImage, Segmentation, size_of
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

_MOST_BOXES = 300
"""In one image, the most certain ones: a threshold set too low costs seconds, not minutes. As many as the queries
of Deformable DETR and its kin, so that only a model without queries, such as OWLv2, ever reaches it."""


@dataclass(frozen=True, eq=False)
class BoxFeatures:
    """phrases: the detector's own, None without a class; class_of_prompt (P): the index of each one's class."""

    prompts: Any
    class_of_prompt: tuple[int, ...]


class BoxesThenMasks(TorchSegmenter[BoxFeatures]):
    """Works with words alone. A thing's score is the detector's."""

    def __init__(self, model: str, detector: Detector[Any], box_segmenter: BoxSegmenter) -> None:
        self.model = model
        self.device = detector.device
        self.caution = detector.caution
        self.detector = detector
        self.box_segmenter = box_segmenter

    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[BoxFeatures]:
        """Raises VocabularyError for an exemplar, or a phrase that the detector cannot read."""
        refuse_exemplars(vocabulary, self.model)
        flat = flat_prompts(vocabulary)
        prompts = self.detector.encode(flat.prompts) if flat.prompts else None
        return EncodedVocabulary(vocabulary, BoxFeatures(prompts, flat.class_of_prompt))

    def _segment(self, batch: Batch, encoded: EncodedVocabulary[BoxFeatures]) -> list[Segmentation]:
        features = encoded.features
        thresholds = batch.thresholds[list(features.class_of_prompt)]
        found = [
            _worth_a_mask(boxes, features.class_of_prompt, size_of(image))
            for boxes, image in zip(
                self.detector.detect(batch.images, features.prompts, thresholds),
                batch.images,
                strict=True,
            )
        ]
        # A place that fits several phrases comes once for each, and needs one mask.
        places = [torch.unique(boxes.corners, dim=0, return_inverse=True) for boxes in found]
        masks = self.box_segmenter.masks(batch.images, [corners for corners, _ in places])
        with stage("finish"):
            return [
                _decode(one[place], boxes, image, batch.thresholds, encoded)
                for one, (_, place), boxes, image in zip(
                    masks, places, found, batch.images, strict=True
                )
            ]


def _decode(
    masks: Tensor,
    boxes: Boxes,
    image: RgbImage,
    thresholds: NDArray[np.float32],
    encoded: EncodedVocabulary[BoxFeatures],
) -> Segmentation:
    vocabulary = encoded.vocabulary
    classes = torch.tensor(encoded.features.class_of_prompt, device=boxes.prompt_index.device)
    instances = Instances(masks, boxes.scores, classes[boxes.prompt_index])
    return decode_instances(instances, size_of(image), thresholds, vocabulary.label_ids)


def _worth_a_mask(boxes: Boxes, class_of_prompt: Sequence[int], size: tuple[int, int]) -> Boxes:
    """The boxes cut to the image of `size` (H, W), each thing once per class, the most certain ones first."""
    height, width = size
    limits = boxes.corners.new_tensor([width, height, width, height])
    corners = torch.minimum(boxes.corners.clamp(min=0), limits)
    boxes = Boxes(corners, boxes.scores, boxes.prompt_index)
    extent = corners[:, 2:] - corners[:, :2]
    inside = (extent > 0).all(dim=1).nonzero()[:, 0]
    order = boxes.scores[inside].argsort(descending=True, stable=True)
    boxes = _chosen(boxes, inside[order][:_MOST_BOXES])
    if len(set(class_of_prompt)) == len(class_of_prompt):
        return boxes
    prompts = boxes.prompt_index.tolist()
    kept = without_duplicates(
        boxes.corners.cpu().numpy(),
        boxes.scores.cpu().numpy(),
        [class_of_prompt[prompt] for prompt in prompts],
        prompts,
    )
    return _chosen(boxes, torch.tensor(kept, dtype=torch.int64, device=boxes.scores.device))


def _chosen(boxes: Boxes, index: Tensor) -> Boxes:
    return Boxes(boxes.corners[index], boxes.scores[index], boxes.prompt_index[index])
