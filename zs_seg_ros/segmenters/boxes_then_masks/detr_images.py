# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Image preprocessing of DETR-like detectors (Carion et al. 2020): to a fixed size, or within limits for the edges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers.image_processing_utils import BaseImageProcessor
from transformers.image_transforms import get_size_with_aspect_ratio

from zs_seg_ros.segmenters.shared.constants import constant_floats
from zs_seg_ros.segmenters.shared.image_tensors import IMAGENET_MEAN, IMAGENET_STD, prepare
from zs_seg_ros.segmenters.shared.preprocessing import (
    Resample,
    UnsupportedPreprocessingError,
    checked_sides,
    fixed_size,
    normalisation,
    require_whole_images,
    resampling,
)
from zs_seg_ros.segmenters.shared.pretrained import has_preprocessing, reading_preprocessing
from zs_seg_ros.types import RgbImage, size_of


@dataclass(frozen=True)
class DetrFormat:
    """The size and the normalisation of a detector's input images.

    size: (height, width) of all images; where `keep_shape`, the length of the shortest edge and the limit of the
    longest, which goes first. keep_shape: whether images keep their aspect ratio. mean and std: of R, G, B in 0..1.
    resample: how images are resized.
    """

    size: tuple[int, int]
    keep_shape: bool = False
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    resample: Resample = "bilinear"

    def size_of(self, image: RgbImage) -> tuple[int, int]:
        """Return the (height, width) that an image is resized to."""
        if not self.keep_shape:
            return self.size
        height, width = get_size_with_aspect_ratio(size_of(image), *self.size)
        return max(1, height), max(1, width)  # an edge of few pixels may be rounded to 0

    def by_size(
        self, images: Sequence[RgbImage], most: int
    ) -> list[tuple[tuple[int, int], list[int]]]:
        """Group the indices of images that are resized to one size, with that size, at most `most` in a group."""
        indices: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, image in enumerate(images):
            indices[self.size_of(image)].append(index)
        return [
            (size, same_size[start : start + most])
            for size, same_size in indices.items()
            for start in range(0, len(same_size), most)
        ]

    def prepare(
        self,
        images: Sequence[RgbImage],
        size: tuple[int, int],
        device: torch.device,
        dtype: torch.dtype,
    ) -> Tensor:
        """Resize images to `size` and normalise them, to (B, 3, height, width) of `dtype`."""
        mean, std = (constant_floats(values, device) for values in (self.mean, self.std))
        return prepare(images, size, mean, std, dtype, self.resample)


def load_detr_format(
    kind: type[BaseImageProcessor], model: str, folder: Path, default: DetrFormat
) -> DetrFormat:
    """Load the format from preprocessor_config.json or processor_config.json; `default` where neither is there.

    kind: the class of transformers that reads the file. Raises ModelError when the file is damaged, or asks for
    something that is not supported.
    """
    if not has_preprocessing(folder):
        return default
    with reading_preprocessing(model, folder):
        processor = kind.from_pretrained(folder, local_files_only=True)
        require_whole_images(processor)
        edges = dict(processor.size)
        keep_shape = set(edges) == {"shortest_edge", "longest_edge"}
        if keep_shape:
            size = checked_sides(edges["shortest_edge"], edges["longest_edge"])
            if processor.do_pad and processor.pad_size is not None:
                raise UnsupportedPreprocessingError("pad_size", dict(processor.pad_size), "null is")
        else:
            size = fixed_size(processor)
        return DetrFormat(size, keep_shape, *normalisation(processor), resampling(processor))


def to_corners(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Convert boxes (N, 4), centre x and y, width and height in 0..1, to left, top, right, bottom in pixels.

    size: (height, width) of the image. Boxes may reach over its edges.
    """
    centre, extent = boxes[:, :2], boxes[:, 2:]
    edges = constant_floats((size[1], size[0]) * 2, boxes.device)
    return torch.cat([centre - extent / 2, centre + extent / 2], dim=1) * edges
