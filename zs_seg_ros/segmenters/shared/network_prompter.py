# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Points, boxes and everything by the network that a segmenter has for them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from zs_seg_ros.segmenters.mask_prompts import MaskPrompt, MaskPrompter
from zs_seg_ros.segmenters.shared.all_masks import all_masks
from zs_seg_ros.segmenters.shared.prompted_masks import PromptedNetwork, masks_of_prompts
from zs_seg_ros.types import DetectedObject, RgbImage


class NetworkPrompter(MaskPrompter):
    """Answers points and boxes with a network that a subclass names."""

    @abstractmethod
    def _prompted_network(self) -> PromptedNetwork[Any]:
        """Return the network. Raises NoMaskPromptsError where the loaded model has none."""

    def masks_of_prompts(
        self, image: RgbImage, prompts: Sequence[MaskPrompt]
    ) -> tuple[DetectedObject, ...]:
        """Return one object per prompt, in order."""
        return masks_of_prompts(self._prompted_network(), image, prompts)

    def all_masks(
        self, image: RgbImage, min_area: int, max_objects: int
    ) -> tuple[DetectedObject, ...]:
        """Return the masks that a grid of points gives, most confident first."""
        return all_masks(self._prompted_network(), image, min_area, max_objects)
