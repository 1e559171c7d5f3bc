"""From logits to a label image: the same last step for every family that answers pixel by pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.types import Label, Segmentation

_FINITE = 1e4
"""Stands for infinity, and with a minus for NaN: interpolated, those would spread to their neighbours."""
_CLASSES_AT_ONCE = 16  # bounds the memory: full-size logits of 16 classes at 1280x720 are 59 MB


def best_of_phrases(logits: Tensor, class_of_phrase: Sequence[int], class_count: int) -> Tensor:
    """(P, h, w) logits of phrases to (K, h, w) of classes: a class is as certain as its best phrase."""
    if tuple(class_of_phrase) == tuple(range(class_count)):
        return logits
    index = torch.tensor(class_of_phrase, dtype=torch.int64, device=logits.device)
    start = logits.new_full((class_count, *logits.shape[1:]), -torch.inf)
    return start.scatter_reduce(0, index[:, None, None].expand_as(logits), logits, "amax")


def decode(
    logits: Tensor,
    size: tuple[int, int],
    thresholds: NDArray[np.float32],
    ids: Sequence[int],
    eight_bits: bool,
) -> Segmentation:
    """Each pixel gets the most certain class among those that reach their own threshold.

    logits (K, h, w), one channel per class, are resized to `size` (H, W), bilinearly. thresholds (K,) are
    probabilities; ids are the label values. A class's mask does not depend on which others are listed, except
    where a more certain one takes the pixel.
    """
    device = logits.device
    logits = logits.float()
    limits = torch.from_numpy(thresholds).to(device).logit()
    if device.type == "cpu":
        number_type = np.dtype(np.uint8 if eight_bits else np.uint16)
        label, certainty = _most_certain_one_by_one(logits, limits, size, ids, number_type)
        return Segmentation(label, _confidence(certainty, label))
    best, winner = _most_certain(_finite(logits), limits, size)
    small_type = torch.uint8 if eight_bits else torch.int16
    values = torch.tensor([0, *ids], dtype=torch.int32).to(device, small_type)
    labels = torch.index_select(values, 0, winner.flatten().int()).view(size)
    confidence = best.sigmoid_().mul_(255).round_().clamp_(min=1).to(small_type)
    return _download(labels, confidence.mul_(winner > 0))


def _finite(logits: Tensor) -> Tensor:
    return logits.nan_to_num(nan=-_FINITE, posinf=_FINITE, neginf=-_FINITE)


def _most_certain(logits: Tensor, limits: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """For each pixel the best logit that reaches its limit, and its channel, counted from 1; 0 is none."""
    best = logits.new_full(size, -torch.inf)
    winner = torch.zeros(size, dtype=torch.int64, device=logits.device)
    for start in range(0, len(logits), _CLASSES_AT_ONCE):
        part = slice(start, start + _CLASSES_AT_ONCE)
        full = functional.interpolate(logits[part][None], size, mode="bilinear")[0]
        full = full.masked_fill(full < limits[part, None, None], -torch.inf)
        value, index = full.max(dim=0)
        better = value > best
        best = torch.where(better, value, best)
        winner = torch.where(better, index + (start + 1), winner)
    return best, winner


def _most_certain_one_by_one(
    logits: Tensor,
    limits: Tensor,
    size: tuple[int, int],
    ids: Sequence[int],
    number_type: np.dtype[Any],
) -> tuple[Label, NDArray[np.float32]]:
    """The same with ids for channels, several times faster on a CPU: by OpenCV, class by class, where the class is."""
    just_below = torch.nextafter(limits, limits.new_tensor(-torch.inf)).tolist()
    maps = logits.numpy()
    highest = maps.max(axis=(1, 2))
    if not np.isfinite(highest + maps.min(axis=(1, 2))).all():
        maps = _finite(logits).numpy()
        highest = maps.max(axis=(1, 2))
    # Interpolation never exceeds its inputs: a class below its limit everywhere cannot win a pixel.
    present = [i for i, high in enumerate(highest.tolist()) if high > just_below[i]]
    lowest = min((just_below[channel] for channel in present), default=0.0)
    best = np.full(size, lowest, np.float32)
    label = np.zeros(size, number_type)
    pixels, better = np.empty(best.size, np.float32), np.empty(size, np.bool_)
    for channel in present:
        small = maps[channel]
        high_enough = small > just_below[channel]
        rows, full_rows = _where(high_enough.any(axis=1), size[0])
        columns, full_columns = _where(high_enough.any(axis=0), size[1])
        part = full_rows, full_columns
        full = pixels[: best[part].size].reshape(best[part].shape)
        cv2.resize(small[rows, columns], full.shape[::-1], dst=full)
        if just_below[channel] > lowest:
            full[full <= just_below[channel]] = lowest
        np.greater(full, best[part], out=better[part])
        np.copyto(label[part], ids[channel], where=better[part])
        cv2.max(best[part], full, dst=best[part])
    return label, best


def _where(present: NDArray[np.bool_], length: int) -> tuple[slice, slice]:
    """From the first to the last that is present, with at least one more on each side, and what becomes of these places
    when all are resized to `length`.

    present: (n,), not all False. The slices are as long, to each other, as n is to `length`: to resize the one to the
    other gives what resizing all would give there.
    """
    parts = math.gcd(len(present), length)
    unit, full_unit = len(present) // parts, length // parts
    places = np.flatnonzero(present)
    first = max(int(places[0]) // unit - 1, 0)
    end = min(int(places[-1]) // unit + 2, parts)
    return slice(first * unit, end * unit), slice(first * full_unit, end * full_unit)


def _confidence(logits: NDArray[np.float32], label: Label) -> NDArray[np.uint8]:
    """(H, W): the probabilities times 255, at least 1, but 0 where the label is 0. Changes `logits`."""
    np.negative(logits, out=logits)
    cv2.exp(logits, dst=logits)
    logits += 1
    confidence = np.empty(logits.shape, np.uint8)
    cv2.divide(255.0, logits, dst=confidence, dtype=cv2.CV_8U)
    np.maximum(confidence, 1, out=confidence)
    confidence *= label > 0
    return confidence


def _download(label: Tensor, confidence: Tensor) -> Segmentation:
    """One small copy from the device."""
    both = torch.stack([label, confidence]).cpu().numpy()
    if both.dtype == np.uint8:
        return Segmentation(both[0], both[1])
    return Segmentation(both[0].view(np.uint16), both[1].astype(np.uint8))
