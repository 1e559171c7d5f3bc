# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Points, boxes, everything, and objects that are followed, by the network that a segmenter has for them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from zs_seg_ros.errors import NoMaskPromptsError
from zs_seg_ros.segmenters.mask_prompts import MaskPrompt, MaskPrompter
from zs_seg_ros.segmenters.shared.all_masks import all_masks
from zs_seg_ros.segmenters.shared.memory_network import (
    ObjectState,
    RemembersObjects,
    VideoMemoryNetwork,
)
from zs_seg_ros.segmenters.shared.prompted_masks import (
    PromptedNetwork,
    cut_masks,
    masks_of_prompts,
)
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.segmenters.shared.transfers import uploaded
from zs_seg_ros.segmenters.video_memory import VideoFollower, VideoMemory
from zs_seg_ros.types import DetectedObject, RgbImage, size_of


class NetworkMemory(VideoMemory):
    """The state of one object. It is replaced with each image, never changed."""

    def __init__(self, state: ObjectState) -> None:
        self.state = state

    @property
    def nbytes(self) -> int:
        """The bytes that it takes on the model's device."""
        return self.state.nbytes


class NetworkPrompter(MaskPrompter, VideoFollower):
    """Answers points and boxes, and follows objects, with a network that a subclass names."""

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

    @property
    def has_video_memory(self) -> bool:
        """Whether the loaded checkpoint holds the weights of a memory."""
        return self._memory_network() is not None

    def _memory_network(self) -> VideoMemoryNetwork | None:
        try:
            network = self._prompted_network()
        except NoMaskPromptsError:
            return None
        return network.memory if isinstance(network, RemembersObjects) else None

    def _memory(self) -> VideoMemoryNetwork:
        memory = self._memory_network()
        assert memory is not None, "has_video_memory says whether there is one"
        return memory

    @torch.inference_mode()
    def remember(
        self, image: RgbImage, masks: Sequence[NDArray[np.bool_]]
    ) -> tuple[NetworkMemory, ...]:
        """Return the memories of the objects with these masks (H, W) in an image, which is encoded once."""
        if not masks:
            return ()
        levels, network = self._prompted_network().encode_image(image), self._memory()
        with stage("decode"):
            on_device = uploaded(torch.from_numpy(np.stack(masks)), levels[-1].device)
            return tuple(NetworkMemory(network.remember(levels, mask)) for mask in on_device)

    @torch.inference_mode()
    def follow(
        self, image: RgbImage, memories: Sequence[VideoMemory]
    ) -> tuple[DetectedObject | None, ...]:
        """Return each object as the next image shows it, and add the image to its memory.

        One after the other: their memories are of different ages. All masks are downloaded at once.
        """
        if not memories:
            return ()
        levels = self._prompted_network().encode_image(image)
        network, logits, scores = self._memory(), [], []
        with stage("decode"):
            for memory in memories:
                assert isinstance(memory, NetworkMemory)
                mask, score, memory.state = network.follow(levels, memory.state)
                logits.append(mask)
                scores.append(score.sigmoid())
            objects = cut_masks(torch.stack(logits), torch.stack(scores), size_of(image))
            return tuple(detected if detected.area else None for detected in objects)
