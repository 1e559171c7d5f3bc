# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Points and boxes that mark objects without words, and the interface of the segmenters that take them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zs_seg_ros.errors import MaskPromptError, NoMaskPromptsError
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.shown import quoted
from zs_seg_ros.types import Box, DetectedObject, RgbImage, size_of

MOST_PROMPTS = 64
"""Of one image."""
MOST_POINTS = 64
"""Of one prompt."""


@dataclass(frozen=True)
class MarkedPoint:
    """A point on an object or, where `outside`, one that its mask must leave out.

    x to the right and y downwards, in pixels from the upper left corner of the image; (0.5, 0.5) is the centre of its
    first pixel.
    """

    x: float
    y: float
    outside: bool = False


@dataclass(frozen=True)
class MaskPrompt:
    """An object that is marked by points, by a bounding box or by both.

    class_name: of the result; empty for none.
    """

    points: tuple[MarkedPoint, ...] = ()
    box: Box | None = None
    class_name: str = ""


class MaskPrompter(ABC):
    """Segmentation without words, offered by the segmenters of some families beside `Segmenter`.

    Its objects have the class id 0, and the IoU that the model predicts for the mask as score. Thread-safe like a
    `Segmenter`.
    """

    @abstractmethod
    def masks_of_prompts(
        self, image: RgbImage, prompts: Sequence[MaskPrompt]
    ) -> tuple[DetectedObject, ...]:
        """Return one object per prompt, in order; that of an empty mask has an empty box.

        Raises NoMaskPromptsError where the loaded model takes no points and boxes, and MaskPromptError for a prompt
        that `check_mask_prompts` refuses.
        """

    @abstractmethod
    def all_masks(
        self, image: RgbImage, min_area: int, max_objects: int
    ) -> tuple[DetectedObject, ...]:
        """Return the masks that a grid of points gives, most confident first.

        min_area: pixels of the smallest mask. max_objects: the most masks that are returned. Raises
        NoMaskPromptsError where the loaded model takes no points.
        """


def mask_prompter_of(segmenter: Segmenter[Any]) -> MaskPrompter:
    """Return the part of a segmenter that takes points and boxes. Raises NoMaskPromptsError when it takes none."""
    if isinstance(segmenter, MaskPrompter):
        return segmenter
    raise no_mask_prompts(segmenter.model)


def no_mask_prompts(model: str) -> NoMaskPromptsError:
    """Return the error of a model that takes neither points nor boxes."""
    return NoMaskPromptsError(
        f"the model {model} takes no points and boxes; load facebook/sam3, or a detector with a mask model that takes "
        "them, SAM 2, EdgeTAM or SAM-HQ, for example google/owlv2-base-patch16-ensemble + facebook/sam2.1-hiera-tiny"
    )


def check_mask_prompts(prompts: Sequence[MaskPrompt], image: RgbImage) -> None:
    """Raise MaskPromptError unless all prompts mark an object inside the image, and are not too many."""
    if len(prompts) > MOST_PROMPTS:
        raise MaskPromptError(
            f"{len(prompts)} marked objects are too many; give at most {MOST_PROMPTS} in one call"
        )
    for number, prompt in enumerate(prompts, start=1):
        name = f" ({quoted(prompt.class_name)})" if prompt.class_name else ""
        _check_prompt(prompt, f"marked object {number}{name}", size_of(image))


def _check_prompt(prompt: MaskPrompt, what: str, size: tuple[int, int]) -> None:
    if len(prompt.points) > MOST_POINTS:
        raise MaskPromptError(
            f"{what} has {len(prompt.points)} points; at most {MOST_POINTS} are accepted"
        )
    if prompt.box is not None:
        _check_box(prompt.box, what, size)
    elif not prompt.points:
        raise MaskPromptError(f"{what} has neither a point nor a box; give one of them")
    elif all(point.outside for point in prompt.points):
        raise MaskPromptError(
            f"{what} has only points that its mask leaves out; add a point on the object, or a box around it"
        )
    for point in prompt.points:
        _check_point(point, what, size)


def _check_point(point: MarkedPoint, what: str, size: tuple[int, int]) -> None:
    height, width = size
    if not (math.isfinite(point.x) and math.isfinite(point.y)):
        raise MaskPromptError(
            f"{what} has a point at ({point.x:g}, {point.y:g}); give two numbers in pixels"
        )
    if not (0 <= point.x < width and 0 <= point.y < height):
        raise MaskPromptError(
            f"{what} has a point at ({point.x:g}, {point.y:g}) outside of the image of {width}x{height} pixels; "
            "give x from 0 to below the width, and y from 0 to below the height"
        )


def _check_box(box: Box, what: str, size: tuple[int, int]) -> None:
    height, width = size
    where = f"a box of {box.width}x{box.height} pixels at ({box.left}, {box.top})"
    if box.width <= 0 or box.height <= 0:
        raise MaskPromptError(f"{what} has {where}, which is empty; give its width and height")
    right, bottom = box.left + box.width, box.top + box.height
    if not (box.left >= 0 and right <= width and box.top >= 0 and bottom <= height):
        raise MaskPromptError(
            f"{what} has {where}, which is not inside the image of {width}x{height} pixels; clip it to the image"
        )
