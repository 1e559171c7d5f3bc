# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Closed-set models: fixed labels looked up by name, and scores of all labels to the segmentation of some classes.

A pixel belongs to a class when the arg-max over all labels of the model is one of the class's, and its probability
reaches the threshold. So a class never depends on which others are listed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.segmenters.base import EncodedVocabulary
from zs_seg_ros.segmenters.shared.class_logits import ClassLogits
from zs_seg_ros.segmenters.shared.constants import constant_integers
from zs_seg_ros.segmenters.shared.exemplars import refuse_exemplars
from zs_seg_ros.segmenters.shared.label_image import (
    decode,
    label_and_logit,
    pending_label_image,
)
from zs_seg_ros.segmenters.shared.label_names import LabelNames
from zs_seg_ros.segmenters.shared.prompts import refuse_negatives
from zs_seg_ros.segmenters.shared.torch_segmenter import TorchSegmenter
from zs_seg_ros.segmenters.shared.transfers import Pending
from zs_seg_ros.shown import quoted
from zs_seg_ros.types import Batch
from zs_seg_ros.vocabulary.class_ids import LabelIds
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

_LEAST_THRESHOLD = 1e-6  # at 0 a class would get the pixels of all other labels, too


@dataclass(frozen=True)
class LabelFeatures:
    """The labels of all classes: labels[i] is of the class with index class_of_label[i]; a class may have several."""

    labels: tuple[int, ...]
    class_of_label: tuple[int, ...]


class ClosedSetSegmenter(TorchSegmenter[LabelFeatures]):
    """The base of models with fixed labels, which take no prompts but these."""

    _names: LabelNames

    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[LabelFeatures]:
        """Look up the labels of each class. Raises VocabularyError, which lists labels, for a prompt that is none."""
        refuse_exemplars(vocabulary, self.model)
        refuse_negatives(vocabulary, self.model)
        numbers = self._names.numbers_of(vocabulary)
        pairs = [(label, index) for index, labels in enumerate(numbers) for label in labels]
        features = LabelFeatures(tuple(n for n, _ in pairs), tuple(i for _, i in pairs))
        return EncodedVocabulary(vocabulary, features, tuple(self._warnings(vocabulary, pairs)))

    def _warnings(self, vocabulary: Vocabulary, pairs: list[tuple[int, int]]) -> list[str]:
        warnings = []
        first: dict[int, int] = {}
        for label, index in pairs:
            owner = first.setdefault(label, index)
            if owner != index:
                warnings.append(
                    f"{quoted(vocabulary.names[owner])} and {quoted(vocabulary.names[index])} are one label to "
                    f"{self.model}, {quoted(self._names.labels[label])}; the first gets it where it "
                    "reaches its threshold"
                )
        return warnings


def segment_labels(
    scores: Tensor,
    log_odds: Callable[[Tensor], Tensor],
    size: tuple[int, int],
    batch: Batch,
    encoded: EncodedVocabulary[LabelFeatures],
) -> Pending:
    """Return the segmentation of an image of `size` (H, W), which is left on a device that is no CPU.

    scores: (L, h, w) of all labels, whose arg-max is taken after resizing them bilinearly. log_odds: returns log p /
    (1 - p), (P, h, w), of the probabilities p of P labels.
    """
    vocabulary, features = encoded.vocabulary, encoded.features
    best = _best_label(scores, size)
    present = list(range(len(features.labels)))
    if best.device.type == "cpu":  # on another device, it would take longer to wait for the labels
        winners = set(np.flatnonzero(np.bincount(best.numpy().ravel())).tolist())
        # At least one channel is needed, which may be empty.
        present = [i for i in present if features.labels[i] + 1 in winners] or [0]
    labels = constant_integers(tuple(features.labels[i] for i in present), scores.device)
    classes = [features.class_of_label[i] for i in present]
    odds = functional.interpolate(log_odds(labels)[None], size, mode="bilinear")[0]
    odds.masked_fill_(best != labels[:, None, None] + 1, -torch.inf)
    thresholds = batch.thresholds[classes].clip(min=_LEAST_THRESHOLD)
    ids = vocabulary.label_ids.of_classes(classes)
    all_channels = ClassLogits(odds, tuple(range(len(odds))))
    return pending_label_image([all_channels], size, thresholds, ids)


def _best_label(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Compute the arg-max label (H, W) int16 of logits (L, h, w) resized to `size`, bilinearly.

    Labels are counted from 1 here; 0 is none, where logits are NaN.
    """
    if logits.device.type != "cpu":
        ids = LabelIds.of(range(1, len(logits) + 1))
        channels = ClassLogits(logits, tuple(range(len(logits))))
        label: Tensor = label_and_logit(channels, size, np.zeros(len(logits), np.float32), ids)[0]
        return label.to(torch.int16)
    labels = _labels_that_can_win(logits)
    numbers = (labels + 1).tolist()
    no_thresholds = np.zeros(len(numbers), np.float32)
    winner = decode(logits[labels], size, no_thresholds, LabelIds.of(numbers))
    return torch.from_numpy(winner.label.astype(np.int16))


def _labels_that_can_win(logits: Tensor) -> Tensor:
    """List the labels (C,) that can have the highest of logits (L, h, w) at any pixel of any resized image.

    A resized logit lies between the lowest and the highest of its four neighbours, so that a label whose highest is
    below another's lowest cannot win there. Labels that win nowhere need not be resized, which saves most of the time.
    """
    highest = _over_neighbours(torch.maximum, logits)
    lowest = _over_neighbours(torch.minimum, logits)
    return (highest >= lowest.amax(dim=0)).flatten(1).any(dim=1).nonzero()[:, 0]


def _over_neighbours(extreme: Callable[[Tensor, Tensor], Tensor], logits: Tensor) -> Tensor:
    """Reduce each four neighbours of (L, h, w) to (L, h - 1, w - 1), at least 1; far faster than pooling on a CPU."""
    for dim in (1, 2):
        count = max(1, logits.shape[dim] - 1)
        first = logits.narrow(dim, 0, count)
        logits = extreme(first, logits.narrow(dim, logits.shape[dim] - count, count))
    return logits
