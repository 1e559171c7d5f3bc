# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A detector and a mask model as one segmenter: phrases to bounding boxes, and bounding boxes to instance masks.

This is the method of Grounded SAM (Ren et al. 2024, arXiv 2401.14159), for any `Detector` and any `BoxSegmenter`.
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
from zs_seg_ros.segmenters.boxes_then_masks.examples import ExampleDetector, one_box_per_object
from zs_seg_ros.segmenters.mask_prompts import no_mask_prompts
from zs_seg_ros.segmenters.shared.exemplars import refuse_exemplars, rows_by_class
from zs_seg_ros.segmenters.shared.image_tensors import one_upload_per_image
from zs_seg_ros.segmenters.shared.instances import (
    Instances,
    not_negative,
    pending_instances,
    without_duplicates,
)
from zs_seg_ros.segmenters.shared.network_prompter import NetworkPrompter
from zs_seg_ros.segmenters.shared.prompted_masks import PromptedNetwork
from zs_seg_ros.segmenters.shared.prompts import flat_prompts
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.segmenters.shared.torch_segmenter import TorchSegmenter
from zs_seg_ros.segmenters.shared.transfers import Pending, finished
from zs_seg_ros.types import Batch, Segmentation, size_of
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

_MAX_BOXES = 300
"""Boxes per image; those of highest score get masks. It bounds the time where a threshold is too low. It is the number
of queries of Deformable DETR and its like, so that only a detector without queries, such as OWLv2, exceeds it."""


@dataclass(frozen=True, eq=False)
class BoxFeatures:
    """The encoded phrases and example images of a vocabulary.

    prompts: the detector's encoding, None for a vocabulary without classes. class_of_prompt: for each of P phrases and
    examples the index of its class. is_negative: for each whether it wins against its class. is_exemplar: whether it is
    an example image.
    """

    prompts: Any
    class_of_prompt: tuple[int, ...]
    is_negative: tuple[bool, ...]
    is_exemplar: tuple[bool, ...]


class BoxesThenMasks(TorchSegmenter[BoxFeatures], NetworkPrompter):
    """A pair of detector and mask model. The score of an object of a class is that of the detector.

    Points and boxes go to the mask model without the detector.
    """

    def __init__(self, model: str, detector: Detector[Any], box_segmenter: BoxSegmenter) -> None:
        self.model = model
        self.device = detector.device
        self.precision = " + ".join(dict.fromkeys([detector.precision, box_segmenter.precision]))
        self.engine = " + ".join(dict.fromkeys([detector.engine, box_segmenter.engine]))
        self.caution = detector.caution
        self.prompts_are_independent = detector.prompts_are_independent
        self.detector = detector
        self.box_segmenter = box_segmenter

    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[BoxFeatures]:
        """Encode the phrases and example images of a vocabulary.

        Raises VocabularyError for a phrase that the detector cannot encode, and for an example image where it takes
        words only.
        """
        flat = flat_prompts(vocabulary)
        if isinstance(self.detector, ExampleDetector):
            return EncodedVocabulary(vocabulary, _encoded(self.detector, vocabulary, flat.prompts))
        refuse_exemplars(vocabulary, self.model)
        prompts = self.detector.encode(flat.prompts) if flat.prompts else None
        words_only = (False,) * len(flat.prompts)
        features = BoxFeatures(prompts, flat.class_of_prompt, flat.is_negative, words_only)
        return EncodedVocabulary(vocabulary, features)

    def _segment(self, batch: Batch, encoded: EncodedVocabulary[BoxFeatures]) -> list[Segmentation]:
        thresholds = batch.thresholds[list(encoded.features.class_of_prompt)]
        with one_upload_per_image():
            return self._detect_and_segment(batch, encoded, thresholds)

    def _detect_and_segment(
        self,
        batch: Batch,
        encoded: EncodedVocabulary[BoxFeatures],
        thresholds: NDArray[np.float32],
    ) -> list[Segmentation]:
        features = encoded.features
        detections = self.detector.detect(batch.images, features.prompts, thresholds)
        boxes = [
            _boxes_to_segment(_on_cpu(boxes), features, size_of(image))
            for boxes, image in zip(detections, batch.images, strict=True)
        ]
        # A box that several phrases share occurs once for each of them, and needs one mask.
        unique = [torch.unique(b.corners, dim=0, return_inverse=True) for b in boxes]
        masks = self.box_segmenter.masks(batch.images, [corners for corners, _ in unique])
        with stage("finish"):
            return finished(
                [
                    _decode(masks[i], unique[i][1], boxes[i], size, batch.thresholds, encoded)
                    for i, size in enumerate(batch.sizes)
                ]
            )

    def _prompted_network(self) -> PromptedNetwork[Any]:
        if isinstance(self.box_segmenter, PromptedNetwork):
            return self.box_segmenter
        raise no_mask_prompts(self.model)  # a mask model of another package may take boxes alone


def _encoded(
    detector: ExampleDetector, vocabulary: Vocabulary, prompts: Sequence[str]
) -> BoxFeatures:
    """Encode the phrases of a vocabulary and its example images."""
    words = torch.split(detector.encode(prompts), 1) if prompts else ()
    by_class = rows_by_class(vocabulary, words, detector.encode_example)
    rows = torch.cat(by_class.rows) if by_class.rows else None
    return BoxFeatures(rows, by_class.class_of_row, by_class.is_negative, by_class.is_exemplar)


def _decode(
    masks: Tensor,
    mask_index: Tensor,
    boxes: Boxes,
    size: tuple[int, int],
    thresholds: NDArray[np.float32],
    encoded: EncodedVocabulary[BoxFeatures],
) -> Pending:
    vocabulary = encoded.vocabulary
    classes = torch.tensor(encoded.features.class_of_prompt)[boxes.prompt_index]
    instances = Instances(masks, boxes.scores, classes, mask_index=mask_index)
    return pending_instances(
        instances, size, thresholds, vocabulary.label_ids, vocabulary.precedence
    )


def _on_cpu(boxes: Boxes) -> Boxes:
    """Return the boxes of a detector, also of one of another package that leaves them on its device."""
    return Boxes(boxes.corners.cpu(), boxes.scores.cpu(), boxes.prompt_index.cpu())


def _boxes_to_segment(boxes: Boxes, features: BoxFeatures, size: tuple[int, int]) -> Boxes:
    """Clip boxes to the image of `size` (H, W) and keep those that need a mask, in falling order of score.

    Boxes outside the image, those of negatives and those that these beat, duplicates within a class and those beyond
    `_MAX_BOXES` are dropped.
    """
    class_of_prompt = features.class_of_prompt
    boxes = _chosen(boxes, boxes.scores.argsort(descending=True, stable=True))
    if any(features.is_exemplar):
        boxes = _one_box_per_object(boxes, features)
    height, width = size
    limits = torch.tensor([width, height, width, height])
    corners = torch.minimum(boxes.corners.clamp(min=0), limits.float())
    inside = (corners[:, 2:] > corners[:, :2]).all(dim=1).nonzero()[:, 0]
    boxes = _chosen(Boxes(corners, boxes.scores, boxes.prompt_index), inside)
    if any(features.is_negative):
        boxes = _without_negatives(boxes, features)
    first = slice(_MAX_BOXES)
    boxes = Boxes(boxes.corners[first], boxes.scores[first], boxes.prompt_index[first])
    if len(set(class_of_prompt)) == len(class_of_prompt):
        return boxes
    prompts = boxes.prompt_index.tolist()
    kept = without_duplicates(
        boxes.corners.numpy(),
        boxes.scores.numpy(),
        [class_of_prompt[prompt] for prompt in prompts],
        prompts,
    )
    return _chosen(boxes, torch.tensor(kept, dtype=torch.int64))


def _one_box_per_object(boxes: Boxes, features: BoxFeatures) -> Boxes:
    """Suppress overlapping boxes of the same example. boxes: in falling order of score."""
    kept = torch.ones_like(boxes.prompt_index, dtype=torch.bool)
    for row, is_exemplar in enumerate(features.is_exemplar):
        if is_exemplar:
            own = (boxes.prompt_index == row).nonzero()[:, 0]
            kept[own] = False
            kept[own[one_box_per_object(boxes.corners[own].numpy(), _MAX_BOXES)]] = True
    return _chosen(boxes, kept.nonzero()[:, 0])


def _without_negatives(boxes: Boxes, features: BoxFeatures) -> Boxes:
    """Drop the boxes of negatives and those that they beat. boxes: in falling order of score."""
    negative = torch.tensor(features.is_negative)[boxes.prompt_index]
    # As many of both kinds at most, so that a low threshold takes no more time.
    few = [(kind.nonzero()[:, 0])[:_MAX_BOXES] for kind in (negative, ~negative)]
    boxes = _chosen(boxes, torch.cat(few).sort().values)
    prompts = boxes.prompt_index.tolist()
    kept = not_negative(
        boxes.corners.numpy(),
        boxes.scores.numpy(),
        [features.class_of_prompt[prompt] for prompt in prompts],
        [features.is_negative[prompt] for prompt in prompts],
    )
    return _chosen(boxes, torch.tensor(kept, dtype=torch.int64))


def _chosen(boxes: Boxes, index: Tensor) -> Boxes:
    """Return the boxes with the indices `index` (M,), in that order."""
    return Boxes(boxes.corners[index], boxes.scores[index], boxes.prompt_index[index])
