# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Masks of everything in an image, without prompts: a grid of points and filters (Kirillov et al. 2023, appendix B)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.segmenters.deadline import check_time
from zs_seg_ros.segmenters.shared.instances import box_iou
from zs_seg_ros.segmenters.shared.prompted_masks import (
    PromptBatch,
    PromptedNetwork,
    cut_masks,
    full_resolution,
)
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.segmenters.shared.transfers import downloaded, uploaded
from zs_seg_ros.types import DetectedObject, RgbImage, size_of

# The values of the paper, and of the mask generation of transformers.
POINTS_PER_SIDE = 32
_LEAST_PREDICTED_IOU = 0.88
_LEAST_STABILITY = 0.95
_STABILITY_OFFSET = 1.0
"""Added to and subtracted from the logits: a stable mask hardly changes."""
_MASKS_AT_A_TIME = 16  # bounds a GPU's memory: 59 MB at 1280x720
_MOST_OVERLAP = 0.7
"""Boxes with a higher IoU are of one object."""


@dataclass(frozen=True)
class _Candidate:
    """A mask that passed the filters. point: the index of its point in the grid. channel: its index at that point.

    corners: left, top, right, bottom of its pixels, the last ones inclusive, as in the authors' code.
    """

    score: float
    corners: tuple[int, int, int, int]
    point: int
    channel: int


@torch.inference_mode()
def all_masks(
    network: PromptedNetwork[Any], image: RgbImage, min_area: int, max_objects: int
) -> tuple[DetectedObject, ...]:
    """Return the masks of a grid of points that are sure, stable and no duplicates, most confident first.

    Each point has several masks. Those are left out whose predicted IoU is too low, that change much when all logits
    are moved a little, with less than `min_area` pixels, and whose box is nearly that of a more confident one; of the
    others the first `max_objects` are returned. Only these are in memory at full resolution: the others are decoded
    one batch at a time, and the chosen ones once more at the end.
    """
    size = size_of(image)
    features = network.encode_image(image)
    points = _grid(size)
    candidates: list[_Candidate] = []
    for start in range(0, len(points), network.prompts_per_batch):
        check_time()
        batch = PromptBatch.of_points(points[start : start + network.prompts_per_batch])
        with stage("decode"):
            logits, scores = network.decode_prompts(features, size, batch, several=True)
        with stage("finish"):
            candidates += _filtered(logits, scores, size, start, min_area)
    chosen = _without_overlap(candidates)[:max_objects]
    objects: list[DetectedObject] = []
    for start in range(0, len(chosen), network.prompts_per_batch):
        check_time()
        part = chosen[start : start + network.prompts_per_batch]
        batch = PromptBatch.of_points(points[[each.point for each in part]])
        with stage("decode"):
            logits, scores = network.decode_prompts(features, size, batch, several=True)
        with stage("finish"):
            channels = scores.shape[1]
            rows = [row * channels + each.channel for row, each in enumerate(part)]
            index = uploaded(torch.tensor(rows), logits.device)
            objects += cut_masks(logits.flatten(0, 1)[index], scores.flatten()[index], size)
    return tuple(objects)


def _grid(size: tuple[int, int]) -> Tensor:
    """Return the points (N, 2) float32 of the grid, row by row, x and y in pixels of an image of `size` (H, W).

    The authors' code counts pixels from the centre of the first one, so that half a pixel is added here.
    """
    height, width = size
    shares = (torch.arange(POINTS_PER_SIDE) + 0.5) / POINTS_PER_SIDE
    y, x = torch.meshgrid(shares * height, shares * width, indexing="ij")
    return torch.stack([x, y], dim=-1).flatten(0, 1) + 0.5


def _filtered(
    logits: Tensor, scores: Tensor, size: tuple[int, int], first_point: int, min_area: int
) -> Iterator[_Candidate]:
    """Yield the candidates among masks (N, M, h, w) with predicted IoUs (N, M). first_point: the index of the first."""
    if logits.device.type != "cpu":
        yield from _filtered_on_device(logits, scores, size, first_point, min_area)
        return
    confident = scores > _LEAST_PREDICTED_IOU
    kept_scores = scores[confident].tolist()
    places = confident.nonzero().tolist()
    of_masks = full_resolution(logits[confident], size)
    for full, score, (row, channel) in zip(of_masks, kept_scores, places, strict=True):
        mask = full > 0
        if np.count_nonzero(mask) < max(1, min_area) or _stability(full) <= _LEAST_STABILITY:
            continue
        yield _Candidate(score, _corners(mask), first_point + row, channel)


def _filtered_on_device(
    logits: Tensor, scores: Tensor, size: tuple[int, int], first_point: int, min_area: int
) -> Iterator[_Candidate]:
    """Filter as `_filtered` does, with one download of some numbers for each mask in place of the masks."""
    numbers = torch.cat(
        [_numbers(masks, size) for masks in torch.split(logits.flatten(0, 1), _MASKS_AT_A_TIME)]
    )
    of_masks, of_scores = downloaded([numbers, scores.float()])
    channels = scores.shape[1]
    rows = zip(of_masks.tolist(), of_scores.flatten().tolist(), strict=True)
    for index, ((area, intersection, union, *corners), score) in enumerate(rows):
        is_stable = intersection / max(1, union) > _LEAST_STABILITY
        if score > _LEAST_PREDICTED_IOU and area >= max(1, min_area) and is_stable:
            left, top, right, bottom = corners
            point, channel = divmod(index, channels)
            yield _Candidate(score, (left, top, right, bottom), first_point + point, channel)


def _numbers(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Compute of masks (N, h, w), at `size` (H, W), areas, those of `_stability` and corners: (N, 7) int64."""
    full = functional.interpolate(logits[:, None].float(), size, mode="bilinear")[:, 0]
    mask = full > 0
    limits = (0.0, _STABILITY_OFFSET, -_STABILITY_OFFSET)
    areas = [(full > limit).sum(dim=(1, 2)) for limit in limits]
    columns, rows = mask.any(dim=1).long(), mask.any(dim=2).long()
    first = [columns.argmax(dim=1), rows.argmax(dim=1)]
    last = [
        side - 1 - each.flip(1).argmax(dim=1)
        for each, side in ((columns, size[1]), (rows, size[0]))
    ]
    return torch.stack([*areas, *first, *last], dim=1)


def _stability(logits: NDArray[np.float32]) -> float:
    """Compute the IoU of the masks of raised and of lowered logits (H, W); 0 where both are empty."""
    intersection = np.count_nonzero(logits > _STABILITY_OFFSET)
    union = np.count_nonzero(logits > -_STABILITY_OFFSET)
    return intersection / max(1, union)


def _corners(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def _without_overlap(candidates: list[_Candidate]) -> list[_Candidate]:
    """Return the candidates whose box is not nearly that of a more confident one, most confident first."""
    ordered = sorted(candidates, key=lambda each: -each.score)
    corners = np.array([each.corners for each in ordered], np.float32).reshape(-1, 4)
    kept: list[int] = []
    for i in range(len(ordered)):
        if not kept or box_iou(corners[i], corners[kept]).max() <= _MOST_OVERLAP:
            kept.append(i)
    return [ordered[i] for i in kept]
