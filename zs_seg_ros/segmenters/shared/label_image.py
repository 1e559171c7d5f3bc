# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Post-processing of logits to a label image, shared by every family that classifies pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.kernels import LARGEST_LOGIT, compiled_kernels
from zs_seg_ros.segmenters.finite import check_finite
from zs_seg_ros.segmenters.shared.class_logits import ClassLogits
from zs_seg_ros.segmenters.shared.constants import constant_floats, constant_integers
from zs_seg_ros.segmenters.shared.label_layers import argmax_over_classes
from zs_seg_ros.segmenters.shared.specific_classes import SpecificClasses
from zs_seg_ros.segmenters.shared.transfers import OnDevice, Pending, finished
from zs_seg_ros.types import Label, Segmentation
from zs_seg_ros.vocabulary.class_ids import LabelIds
from zs_seg_ros.vocabulary.precedence import CONFIDENCE_ALONE, Precedence

_CLASSES_PER_CHUNK = 16  # bounds the memory: 16 classes at a full resolution of 1280x720 are 59 MB


def decode(
    logits: Tensor,
    size: tuple[int, int],
    thresholds: NDArray[np.float32],
    ids: LabelIds,
) -> Segmentation:
    """Give each pixel the most confident class among those that reach their own threshold.

    logits (K, h, w), one channel per class, are resized to `size` (H, W), bilinearly. thresholds (K,) are
    probabilities; ids: of K classes. A class's mask does not depend on which others are listed, except
    where a more confident one takes the pixel.
    """
    return decode_chunks([ClassLogits(logits, tuple(range(len(logits))))], size, thresholds, ids)


def decode_chunks(
    chunks: Iterable[ClassLogits],
    size: tuple[int, int],
    thresholds: NDArray[np.float32],
    ids: LabelIds,
    precedence: Precedence = CONFIDENCE_ALONE,
) -> Segmentation:
    """Decode as `decode` does, with the classes in chunks, of which one at a time is in memory.

    thresholds (K,) and `ids` are those of the vocabulary that the classes of chunks are indices of. A class with
    negatives has no pixel where one of them, resized like the class, fits better. A pixel of a general class is of the
    most confident of its more specific classes by `precedence` that reach their own thresholds there.
    """
    return finished([pending_label_image(chunks, size, thresholds, ids, precedence)])[0]


def pending_label_image(
    chunks: Iterable[ClassLogits],
    size: tuple[int, int],
    thresholds: NDArray[np.float32],
    ids: LabelIds,
    precedence: Precedence = CONFIDENCE_ALONE,
) -> Pending:
    """Decode as `decode_chunks` does, and leave the result on a device that is no CPU."""
    label = best = None
    specific = SpecificClasses(precedence, ids)
    for chunk in chunks:
        if (whole := _all_at_once(chunk, size, thresholds, ids, specific)) is not None:
            return whole
        chunk_label, chunk_best = label_and_logit(chunk, size, thresholds, ids, specific)
        if label is None or best is None:
            label, best = chunk_label, chunk_best
            continue
        better = (chunk_label > 0) & ((label == 0) | (chunk_best > best))
        if isinstance(better, np.ndarray):
            label[better], best[better] = chunk_label[better], chunk_best[better]
        else:  # a boolean index would wait for the device
            label = torch.where(better, chunk_label, label)
            best = torch.where(better, chunk_best, best)
    assert label is not None and best is not None, "a vocabulary with classes has logits"
    label, best = specific.relabel(label, best)
    if isinstance(label, np.ndarray):
        return Segmentation(label, _confidence(best, label))
    confidence = best.sigmoid_().mul_(255).round_().clamp_(min=1).to(torch.uint8)
    return OnDevice((label, confidence.mul_(label != 0)), partial(_segmentation, dtype=ids.dtype))


def _all_at_once(
    chunk: ClassLogits,
    size: tuple[int, int],
    thresholds: NDArray[np.float32],
    ids: LabelIds,
    specific: SpecificClasses,
) -> Segmentation | None:
    """Decode in one pass of compiled code; None where the chunk lacks a class, or more than its logits is needed.

    A class is in one chunk alone, so that no other follows one with all classes.
    """
    kernels, classes = compiled_kernels(), chunk.classes
    has_all = len(classes) == len(ids.values) and not chunk.against
    if kernels is None or not has_all or chunk.logits.device.type != "cpu":
        return None
    if specific.concerns(classes):
        return None
    check_finite(chunk.logits)
    limits = _logits_of(tuple(thresholds[list(classes)].tolist()))
    values = ids.of_classes(classes).values
    logits = chunk.logits.float().numpy()
    return Segmentation(*kernels.label_and_confidence(logits, limits, size, values, ids.dtype))


@lru_cache(maxsize=64)
def _logits_of(thresholds: tuple[float, ...]) -> list[float]:
    """Return the logits of probabilities, which are the same in nearly all images."""
    logits: list[float] = torch.tensor(thresholds, dtype=torch.float32).logit().tolist()
    return logits


def label_and_logit(
    chunk: ClassLogits,
    size: tuple[int, int],
    thresholds: NDArray[np.float32],
    ids: LabelIds,
    specific: SpecificClasses | None = None,
) -> tuple[Any, Any]:
    """Compute label and best logit (H, W) of some classes, as arrays on a CPU and as tensors on another device.

    size: (H, W). thresholds (K,) and `ids` are those of the vocabulary that the classes are indices of.
    specific: keeps what it needs of these classes.
    """
    check_finite(chunk.logits)
    logits = chunk.logits.float()
    of_classes = thresholds[list(chunk.classes)]
    ids = ids.of_classes(chunk.classes)
    against = {channel: _finite(of_class.float()) for channel, of_class in chunk.against.items()}
    on_cpu = logits.device.type == "cpu"
    limits = torch.from_numpy(of_classes).logit()
    is_kept = specific is not None and specific.concerns(chunk.classes)
    # On a CPU the arg-max does this itself.
    if not on_cpu or (is_kept and not math.isfinite(float(logits.sum()))):
        logits = _finite(logits)
    if specific is not None and is_kept:
        specific.keep(ClassLogits(logits, chunk.classes, against), limits.tolist())
    if on_cpu:
        arrays = {channel: of_class.numpy() for channel, of_class in against.items()}
        return argmax_over_classes(logits.numpy(), limits.tolist(), size, ids, arrays)
    limits = constant_floats(tuple(limits.tolist()), logits.device)
    best, winner = _argmax(logits, limits, size, against)
    small_type = torch.uint8 if ids.dtype == np.uint8 else torch.int16
    values = constant_integers((0, *ids.values), logits.device, small_type)
    return torch.index_select(values, 0, winner.flatten().int()).view(size), best


def _finite(logits: Tensor) -> Tensor:
    return logits.nan_to_num(nan=-LARGEST_LOGIT, posinf=LARGEST_LOGIT, neginf=-LARGEST_LOGIT)


def _argmax(
    logits: Tensor,
    limits: Tensor,
    size: tuple[int, int],
    against: Mapping[int, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute for each pixel the best logit that reaches its limit, and its channel, counted from 1; 0 is none.

    against: for some channels (h, w), as for `argmax_over_classes`.
    """
    against = against or {}
    best = logits.new_full(size, -torch.inf)
    winner = torch.zeros(size, dtype=torch.int64, device=logits.device)
    for start in range(0, len(logits), _CLASSES_PER_CHUNK):
        chunk = slice(start, start + _CLASSES_PER_CHUNK)
        full = functional.interpolate(logits[chunk][None], size, mode="bilinear")[0]
        full = full.masked_fill(full < limits[chunk, None, None], -torch.inf)
        for channel in against.keys() & range(start, start + len(full)):
            negative = functional.interpolate(against[channel][None, None], size, mode="bilinear")
            of_class = full[channel - start]
            of_class.masked_fill_(negative[0, 0] > of_class, -torch.inf)
        value, index = full.max(dim=0)
        better = value > best
        best = torch.where(better, value, best)
        winner = torch.where(better, index + (start + 1), winner)
    return best, winner


def _confidence(logits: NDArray[np.float32], label: Label) -> NDArray[np.uint8]:
    """Compute the probabilities (H, W) times 255, at least 1, but 0 where the label is 0. May overwrite `logits`."""
    kernels = compiled_kernels()
    if kernels is not None:
        return kernels.confidence(logits, label)
    np.negative(logits, out=logits)
    cv2.exp(logits, dst=logits)
    logits += 1
    np.divide(np.float32(255), logits, out=logits)
    # cv2.divide to bytes, and np.maximum of bytes, take many times as long.
    confidence = cast(NDArray[np.uint8], cv2.convertScaleAbs(logits))  # rounds
    cv2.max(confidence, 1, dst=confidence)  # type: ignore[call-overload]  # accepts numbers, too
    confidence *= label > 0
    return confidence


def _segmentation(parts: Sequence[Tensor], dtype: np.dtype[Any]) -> Segmentation:
    """Make the result of label and confidence (H, W) on the CPU; ids of int16 are those of uint16, which wrapped."""
    label, confidence = (part.numpy() for part in parts)
    return Segmentation(label.view(dtype), confidence)
