"""From logits to a label image: the same last step for every family that answers pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.types import Segmentation

_CLASSES_AT_ONCE = 16  # bounds the memory: full-size logits of 16 classes at 1280x720 are 59 MB


def best_of_phrases(logits: Tensor, class_of_phrase: Sequence[int], class_count: int) -> Tensor:
    """(P, h, w) logits of phrases to (K, h, w) of classes: a class is as certain as its best phrase."""
    if tuple(class_of_phrase) == tuple(range(class_count)):
        return logits
    index = torch.tensor(class_of_phrase, device=logits.device)
    start = logits.new_full((class_count, *logits.shape[1:]), -torch.inf)
    return start.index_reduce_(0, index, logits, "amax")


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
    values = torch.tensor(ids, dtype=torch.int32, device=device)
    if device.type == "cpu":
        # Interpolation never exceeds its inputs: a class below its limit everywhere cannot win a pixel.
        present = (logits.amax(dim=(1, 2)) >= limits).nonzero()[:, 0]
        logits, limits, values = logits[present], limits[present], values[present]
    best = logits.new_full(size, -torch.inf)
    label = torch.zeros(size, dtype=torch.int32, device=device)
    for start in range(0, len(logits), _CLASSES_AT_ONCE):
        part = slice(start, start + _CLASSES_AT_ONCE)
        full = functional.interpolate(logits[part][None], size, mode="bilinear")[0]
        full = full.masked_fill(full < limits[part, None, None], -torch.inf)
        winner, index = full.max(dim=0)
        better = winner > best
        best = torch.where(better, winner, best)
        label = torch.where(better, values[part][index], label)
    confidence = (best.sigmoid() * 255).round().clamp(min=1).to(torch.int32) * (label > 0)
    return _download(label, confidence, eight_bits)


def _download(label: Tensor, confidence: Tensor, eight_bits: bool) -> Segmentation:
    """One small copy from the device."""
    both = torch.stack([label, confidence])
    if eight_bits:
        array = both.to(torch.uint8).cpu().numpy()
        return Segmentation(array[0], array[1])
    wide = both.to(torch.int16).cpu().numpy().view(np.uint16)
    return Segmentation(wide[0], wide[1].astype(np.uint8))
