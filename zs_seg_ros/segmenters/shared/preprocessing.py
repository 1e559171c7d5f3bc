# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The arithmetic that a checkpoint's preprocessor file asks for: followed as transformers does, or refused by name."""

from __future__ import annotations

from typing import Any, Literal

from transformers.image_processing_utils import BaseImageProcessor

from zs_seg_ros.shown import shown

Resample = Literal["bilinear", "bicubic"]
Channels = tuple[float, float, float]

_RESAMPLES: dict[int, Resample] = {2: "bilinear", 3: "bicubic"}  # PIL's numbers
_LONGEST_SIDE_PX = 4096
"""Of the images that a model takes; each published one takes less than half of it."""


class UnsupportedPreprocessingError(ValueError):
    """A preprocessor file asks for something that the model here does not do."""

    def __init__(self, key: str, value: object, instead: str) -> None:
        super().__init__(
            f"it sets {key} to {shown(str(value), 100)}, which is not supported; {instead}"
        )


def require_whole_images(processor: BaseImageProcessor) -> None:
    """Raise UnsupportedPreprocessingError where images are not resized, or parts of them are cut off."""
    if not processor.do_resize:
        raise UnsupportedPreprocessingError("do_resize", False, "true is")
    if getattr(processor, "do_center_crop", False):
        raise UnsupportedPreprocessingError("do_center_crop", True, "it would cut off the borders")


def normalisation(processor: BaseImageProcessor) -> tuple[Channels, Channels]:
    """Return the mean and standard deviation of R, G, B in 0..1 that are equal to rescaling and normalisation.

    Raises UnsupportedPreprocessingError for a factor or a deviation that is not above 0.
    """
    factor = float(processor.rescale_factor) if processor.do_rescale else 1.0
    if not factor > 0:
        raise UnsupportedPreprocessingError("rescale_factor", factor, "a number above 0 is")
    white = 255 * factor  # the value of white before normalisation
    if not processor.do_normalize:
        return (0.0, 0.0, 0.0), (1 / white, 1 / white, 1 / white)
    (r, g, b), (sr, sg, sb) = processor.image_mean, processor.image_std
    if not min(sr, sg, sb) > 0:
        raise UnsupportedPreprocessingError("image_std", [sr, sg, sb], "numbers above 0 are")
    return (r / white, g / white, b / white), (sr / white, sg / white, sb / white)


def resampling(processor: BaseImageProcessor) -> Resample:
    """Return how images are resized. Raises UnsupportedPreprocessingError for another filter than these two."""
    value = processor.resample
    number = 2 if value is None else int(value)
    if number not in _RESAMPLES:
        raise UnsupportedPreprocessingError("resample", number, "2 (bilinear) and 3 (bicubic) are")
    return _RESAMPLES[number]


def fixed_size(processor: BaseImageProcessor) -> tuple[int, int]:
    """Return the (height, width) of all images.

    Raises UnsupportedPreprocessingError for a size that depends on the image, or padding beyond that size.
    """
    sides = _given(processor.size)
    if set(sides) != {"height", "width"}:
        raise UnsupportedPreprocessingError("size", sides, "height and width are")
    size = checked_sides(sides["height"], sides["width"])
    padded = _given(getattr(processor, "pad_size", None) or {})
    if getattr(processor, "do_pad", False) and padded not in ({}, sides):
        raise UnsupportedPreprocessingError("pad_size", padded, f"{sides} is")
    return size


def padded_square(processor: BaseImageProcessor) -> tuple[int, int]:
    """Return the (height, width) of the square that images are resized to fit and padded to, as those of SAM are.

    Raises UnsupportedPreprocessingError for another size, or another padding.
    """
    sides = _given(processor.size)
    if set(sides) != {"longest_edge"}:
        raise UnsupportedPreprocessingError("size", sides, "longest_edge is")
    side, _ = checked_sides(sides["longest_edge"], sides["longest_edge"])
    padded = _given(processor.pad_size or {})
    if not processor.do_pad:
        raise UnsupportedPreprocessingError("do_pad", False, "true is")
    if padded != {"height": side, "width": side}:
        raise UnsupportedPreprocessingError("pad_size", padded, f"{side} for both sides is")
    return side, side


def checked_sides(height: Any, width: Any) -> tuple[int, int]:
    """Return sides as whole numbers. Raises ValueError for those that no model takes: memory grows with the square."""
    sides = int(height), int(width)
    if not all(0 < side <= _LONGEST_SIDE_PX for side in sides):
        raise ValueError(
            f"it asks for images with sides of {sides[0]} and {sides[1]} pixels, and at most {_LONGEST_SIDE_PX} are "
            "made"
        )
    return sides


def _given(size: Any) -> dict[str, Any]:
    """Return the entries of a size that are set."""
    return {key: value for key, value in dict(size).items() if value is not None}
