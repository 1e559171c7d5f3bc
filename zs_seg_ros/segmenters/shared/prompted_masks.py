# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Masks of points and boxes, for every network with a prompt encoder as that of SAM (Kirillov et al. 2023).

The paper is arXiv 2304.02643. An image is encoded once for all prompts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.segmenters.deadline import check_time
from zs_seg_ros.segmenters.instance_labels import cut_out
from zs_seg_ros.segmenters.mask_prompts import MaskPrompt, check_mask_prompts
from zs_seg_ros.segmenters.shared.constants import constant_floats
from zs_seg_ros.segmenters.shared.packed_masks import cut_packed, packed
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.segmenters.shared.transfers import downloaded, uploaded
from zs_seg_ros.types import DetectedObject, RgbImage, size_of

Features = TypeVar("Features")


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """N prompts with P points each, and a box each or none.

    points: (N, P, 2) float32, x and y in pixels of the image, where (0.5, 0.5) is the centre of the first one; None
    without points. labels: (N, P) int64, 1 on the object and 0 outside of it. boxes: (N, 4) float32, left, top, right,
    bottom; None without boxes.
    """

    points: Tensor | None
    labels: Tensor | None
    boxes: Tensor | None

    @classmethod
    def of(cls, prompts: Sequence[MaskPrompt]) -> PromptBatch:
        """Return the batch of prompts that have equally many points, and all a box or none."""
        points = labels = boxes = None
        if prompts[0].points:
            points = torch.tensor([[(p.x, p.y) for p in prompt.points] for prompt in prompts])
            labels = torch.tensor([[int(not p.outside) for p in each.points] for each in prompts])
        if prompts[0].box is not None:
            corners = [
                (box.left, box.top, box.left + box.width, box.top + box.height)
                for box in (prompt.box for prompt in prompts)
                if box is not None
            ]
            boxes = torch.tensor(corners, dtype=torch.float32)
        return cls(points, labels, boxes)

    @classmethod
    def of_points(cls, points: Tensor) -> PromptBatch:
        """Return the batch of N prompts of one point each. points: (N, 2) float32."""
        return cls(points[:, None], torch.ones(len(points), 1, dtype=torch.int64), None)

    def scaled(self, scale_x: float, scale_y: float, device: torch.device) -> PromptBatch:
        """Return the inputs of a network's prompt encoder, which counts points from the centre of the first pixel.

        The scales turn pixels of the image into pixels of the network's input.
        """
        scale = constant_floats((scale_x, scale_y), device)
        return PromptBatch(
            None if self.points is None else (uploaded(self.points, device) - 0.5) * scale,
            None if self.labels is None else uploaded(self.labels, device),
            None if self.boxes is None else uploaded(self.boxes, device) * scale.repeat(2),
        )

    def as_one_image(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return points, labels and boxes as prompts of a batch of one image: (1, N, P, 2), (1, N, P) and (1, N, 4)."""
        points, labels, boxes = self.points, self.labels, self.boxes
        return (
            None if points is None else points[None],
            None if labels is None else labels[None],
            None if boxes is None else boxes[None],
        )


class PromptedNetwork(ABC, Generic[Features]):
    """A network that encodes an image once, and decodes masks of points and boxes from its features."""

    prompts_per_batch: int
    """Prompts per run of the mask decoder, which bounds the memory."""

    @abstractmethod
    def encode_image(self, image: RgbImage) -> Features:
        """Encode one image."""

    @abstractmethod
    def decode_prompts(
        self, features: Features, size: tuple[int, int], prompts: PromptBatch, several: bool
    ) -> tuple[Tensor, Tensor]:
        """Decode M masks for each of N prompts in an image of `size` (H, W).

        several: whether M is the number of masks that the network has for an ambiguous prompt, otherwise 1. Returns
        logits (N, M, h, w) float32, above 0 on the object, covering the image; and the predicted IoU of each, (N, M)
        float32.
        """

    def decode_boxes(self, features: Features, size: tuple[int, int], corners: Tensor) -> Tensor:
        """Decode the masks of boxes (N, 4) in an image of `size` (H, W): logits (N, h, w) float32."""
        masks = []
        for boxes in torch.split(corners.float(), self.prompts_per_batch):
            # A box is an unambiguous prompt.
            logits, _ = self.decode_prompts(
                features, size, PromptBatch(None, None, boxes), several=False
            )
            masks.append(logits[:, 0])
        return torch.cat(masks)


@torch.inference_mode()
def masks_of_prompts(
    network: PromptedNetwork[Any], image: RgbImage, prompts: Sequence[MaskPrompt]
) -> tuple[DetectedObject, ...]:
    """Return one object per prompt, in order, with the predicted IoU as score.

    A single point is ambiguous: of the network's several masks for it, that of the highest predicted IoU is taken, as
    in the paper. Prompts of equally many points are decoded together, without padding, so that no mask depends on the
    other prompts. Raises MaskPromptError for a prompt that `check_mask_prompts` refuses.
    """
    check_mask_prompts(prompts, image)
    if not prompts:
        return ()
    features = network.encode_image(image)
    by_shape: dict[tuple[int, bool], list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        by_shape[len(prompt.points), prompt.box is not None].append(index)
    objects: dict[int, DetectedObject] = {}
    for shape, indices in by_shape.items():
        for start in range(0, len(indices), network.prompts_per_batch):
            check_time()
            batch = indices[start : start + network.prompts_per_batch]
            with stage("decode"):
                logits, scores = network.decode_prompts(
                    features,
                    size_of(image),
                    PromptBatch.of([prompts[index] for index in batch]),
                    several=shape == (1, False),
                )
                best = scores.argmax(dim=1)
                rows = torch.arange(len(batch), device=best.device)
                logits, scores = logits[rows, best], scores[rows, best]
            with stage("finish"):
                objects.update(zip(batch, cut_masks(logits, scores, size_of(image)), strict=True))
    return tuple(objects[index] for index in range(len(prompts)))


def cut_masks(logits: Tensor, scores: Tensor, size: tuple[int, int]) -> Iterator[DetectedObject]:
    """Yield the object of each mask (N, h, w), with its score (N,), in an image of `size` (H, W)."""
    if logits.device.type != "cpu":
        rows, confidences = downloaded([packed(logits, size, 0.0), scores.clamp(0, 1)])
        yield from map(cut_packed, rows.numpy(), confidences.tolist())
        return
    of_masks = full_resolution(logits, size)
    for full, score in zip(of_masks, scores.clamp(0, 1).tolist(), strict=True):
        yield cut_out(full > 0, score)


def full_resolution(logits: Tensor, size: tuple[int, int]) -> Iterator[NDArray[np.float32]]:
    """Yield each of the logits (N, h, w), resized bilinearly to `size` (H, W); one at a time, to bound the memory."""
    for mask in logits:
        resized = functional.interpolate(mask[None, None].float(), size, mode="bilinear")
        yield resized[0, 0].cpu().numpy()
