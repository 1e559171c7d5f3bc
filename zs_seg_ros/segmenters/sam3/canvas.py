# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Example images of SAM 3: a strip of them above the image, with a box around each example.

SAM 3 learned from boxes around examples in the same image alone. So the examples of a class and the image become one
canvas, as in "Few-Shot Semantic Segmentation Meets SAM3" (Tsai et al. 2026, arXiv 2604.05433): the examples share a
strip of a third of its height, and objects like them are detected below. Here an example is cut out with half its
size of surroundings on each side, and keeps its proportions. The text beside the boxes is "visual", as in
transformers' processor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zs_seg_ros.segmenters.instance_labels import cut_out
from zs_seg_ros.types import RgbImage
from zs_seg_ros.vocabulary.vocabulary import Exemplar

Prepare = Callable[[RgbImage, tuple[int, int]], Tensor]
"""Resizes an image to (height, width) and normalises it: (3, height, width)."""

_BLACK = np.zeros((1, 1, 3), np.uint8)
_SHARE = 3  # the strip takes 1/3 of the height
_SURROUNDINGS = 0.5


@dataclass(frozen=True, eq=False)
class ExampleStrip:
    """The examples of one class, above which no image is yet.

    pixels: (3, height, S), normalised, for a canvas of S x S pixels. boxes: (N, 4) float32 on the CPU, the centre x and
    y, width and height of each example as shares of the canvas.
    """

    pixels: Tensor
    boxes: Tensor

    @property
    def share(self) -> float:
        """The share of the height of the canvas that the strip takes."""
        _, height, side = self.pixels.shape
        return height / side

    def above(self, image: RgbImage, prepare: Prepare) -> Tensor:
        """Put an image below the strip: (3, S, S), normalised."""
        _, height, side = self.pixels.shape
        return torch.cat([self.pixels, prepare(image, (side - height, side))], dim=1)


def example_strip(
    examples: Sequence[Exemplar], side: int, patch: int, prepare: Prepare
) -> ExampleStrip:
    """Arrange examples beside each other for a canvas of `side` x `side` pixels.

    patch: of the image encoder; the strip has whole patches, so that it ends where cells of masks end.
    """
    height = patch * max(1, round(side / patch / _SHARE))
    width = side // len(examples)
    strip = prepare(_BLACK, (height, side))
    boxes = []
    for number, example in enumerate(examples):
        cell = strip[:, :, number * width : (number + 1) * width]
        x, y, box_width, box_height = _fill(cell, example, prepare)
        boxes.append((x + number * width, y, box_width, box_height))
    return ExampleStrip(strip, torch.tensor(boxes) / side)


def _fill(cell: Tensor, example: Exemplar, prepare: Prepare) -> tuple[float, float, float, float]:
    """Fit an example into a cell (3, H, W), and return its box there: centre x and y, width and height in pixels."""
    height, width = example.image.shape[:2]
    mask = np.ones((height, width), np.bool_) if example.mask is None else example.mask
    marked = cut_out(mask, 1.0).box
    left, right = _surrounded(marked.left, marked.width, width)
    top, bottom = _surrounded(marked.top, marked.height, height)
    scale = min(cell.shape[1] / (bottom - top), cell.shape[2] / (right - left))
    shape = max(1, round((bottom - top) * scale)), max(1, round((right - left) * scale))
    cell[:, : shape[0], : shape[1]] = prepare(example.image[top:bottom, left:right], shape)
    scale_y, scale_x = shape[0] / (bottom - top), shape[1] / (right - left)
    return (
        (marked.left - left + marked.width / 2) * scale_x,
        (marked.top - top + marked.height / 2) * scale_y,
        marked.width * scale_x,
        marked.height * scale_y,
    )


def _surrounded(start: int, length: int, limit: int) -> tuple[int, int]:
    """Widen start … start + length by the surroundings, as far as the image goes."""
    more = round(length * _SURROUNDINGS)
    return max(start - more, 0), min(start + length + more, limit)
