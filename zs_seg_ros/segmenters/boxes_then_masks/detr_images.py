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

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.shared.image_tensors import IMAGENET_MEAN, IMAGENET_STD, prepare
from zs_seg_ros.segmenters.shared.pretrained import has_preprocessing, require_sides
from zs_seg_ros.types import RgbImage, size_of


@dataclass(frozen=True)
class DetrFormat:
    """The size and the normalisation of a detector's input images.

    size: (height, width) of all images; where `keep_shape`, the length of the shortest edge and the limit of the
    longest, which goes first. keep_shape: whether images keep their aspect ratio. mean and std: of R, G, B in 0..1.
    """

    size: tuple[int, int]
    keep_shape: bool = False
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

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
        mean, std = (torch.tensor(values, device=device) for values in (self.mean, self.std))
        return prepare(images, size, mean, std, dtype)


def load_detr_format(
    kind: type[BaseImageProcessor], model: str, folder: Path, default: DetrFormat
) -> DetrFormat:
    """Load the format from preprocessor_config.json or processor_config.json; `default` where neither is there.

    kind: the class of transformers that reads the file. Raises ModelError when the file is damaged.
    """
    if not has_preprocessing(folder):
        return default
    try:
        processor = kind.from_pretrained(folder, local_files_only=True)
        # Some normalise 0..255: their mean and standard deviation are 255 times as large.
        scale = float(processor.rescale_factor) * 255 if processor.do_rescale else 255.0
        mean = tuple(float(value) / scale for value in processor.image_mean)
        std = tuple(float(value) / scale for value in processor.image_std)
        edges = processor.size["shortest_edge"], processor.size["longest_edge"]
        keep_shape = None not in edges
        first, second = edges if keep_shape else (processor.size["height"], processor.size["width"])
        sides = int(first), int(second)
        require_sides(sides)
        return DetrFormat(sides, keep_shape, mean, std)
    except Exception as error:  # transformers raises many types, each of which means damage
        raise ModelError(
            f"the preprocessing file of {model} in {folder} cannot be read "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}); fetch it again"
        ) from error


def to_corners(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Convert boxes (N, 4), centre x and y, width and height in 0..1, to left, top, right, bottom in pixels.

    size: (height, width) of the image. Boxes may reach over its edges.
    """
    centre, extent = boxes[:, :2], boxes[:, 2:]
    edges = torch.tensor((size[1], size[0]) * 2, device=boxes.device)
    return torch.cat([centre - extent / 2, centre + extent / 2], dim=1) * edges
