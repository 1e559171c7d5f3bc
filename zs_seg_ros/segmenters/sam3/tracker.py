# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""SAM 3 with its tracker, which takes points and boxes and follows objects by a video memory, as SAM 2 does.

facebook/sam3 holds both: a detector, and a tracker that shares its image encoder and has a feature pyramid of its own.
transformers' `Sam3TrackerModel` adds the embedding of "no memory" to a level of the pyramid that it does not use; here
it is added to the coarsest level that is used, as in transformers' `Sam3TrackerVideoModel` and the authors' code.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.models.sam3_tracker.modeling_sam3_tracker import Sam3TrackerModel
from transformers.models.sam3_tracker_video.modeling_sam3_tracker_video import (
    Sam3TrackerVideoModel,
)

from zs_seg_ros.segmenters.kept_images import encoded_once
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.mask_prompts import no_mask_prompts
from zs_seg_ros.segmenters.sam3.canvas import Prepare
from zs_seg_ros.segmenters.sam3.network import Sam3Network
from zs_seg_ros.segmenters.sam3.segmenter import Sam3Segmenter
from zs_seg_ros.segmenters.shared.memory_network import (
    RemembersObjects,
    VideoMemoryNetwork,
    holds_memory,
    memory_fits,
)
from zs_seg_ros.segmenters.shared.network_prompter import NetworkPrompter
from zs_seg_ros.segmenters.shared.pretrained import load_model, weight_names
from zs_seg_ros.segmenters.shared.prompted_masks import (
    PromptBatch,
    PromptedNetwork,
)
from zs_seg_ros.segmenters.shared.sam2_prompts import decode_prompts
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.types import RgbImage

_PREFIX = "tracker_model."
_PROMPTS_PER_BATCH = {"cpu": 4, "cuda": 32}


class Sam3VideoSegmenter(Sam3Segmenter, NetworkPrompter):
    """SAM 3 from a checkpoint with a detector and a tracker, such as facebook/sam3.

    Words and example images go to the detector, points and boxes to the tracker.
    """

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        super().__init__(model, folder, options)
        self._tracker: Sam3Prompted | None = None
        if holds_tracker(folder):
            remembers = holds_memory(folder)
            kind = Sam3TrackerVideoModel if remembers else Sam3TrackerModel
            loaded = load_model(kind, model, folder, torch.float32)
            side = self._input_size[0]
            self._tracker = Sam3Prompted(loaded, self.network, side, self._prepare, self._dtype)
            if remembers and memory_fits(loaded):
                self._tracker.add_memory()

    def _prompted_network(self) -> Sam3Prompted:
        if self._tracker is None:
            raise no_mask_prompts(self.model)  # the weights of the tracker were left out
        return self._tracker


class Sam3Prompted(PromptedNetwork[list[Tensor]], RemembersObjects):
    """The prompt encoder and mask decoder of SAM 3's tracker, on the detector's image encoder."""

    def __init__(
        self,
        loaded: PreTrainedModel,
        detector: Sam3Network,
        side: int,
        prepare: Prepare,
        dtype: torch.dtype,
    ) -> None:
        """Take over a loaded model, and replace its image encoder by the detector's.

        side: of the square that images are resized to. dtype: of the image encoder and of the mask decoder.
        """
        self._detector, device = detector, detector.model.device
        loaded.vision_encoder.backbone = detector.model.vision_encoder.backbone
        self._side, self._prepare, self._dtype = side, prepare, dtype
        self._network = loaded.to(device)
        cells = side // loaded.config.prompt_encoder_config.patch_size
        loaded.prompt_encoder.image_embedding_size = cells, cells
        loaded.prompt_encoder.mask_input_size = 4 * cells, 4 * cells
        loaded.prompt_encoder.input_image_size = side
        with torch.inference_mode():
            self._positions = loaded.get_image_wide_positional_embeddings().to(dtype)
        # The prompt encoder stays in 32 bits: in 16, the coordinates of boxes would be off by pixels.
        loaded.vision_encoder.to(dtype)
        loaded.mask_decoder.to(dtype)
        self._no_memory = loaded.no_memory_embedding.detach().to(dtype).view(1, -1, 1, 1)
        self._levels = len(loaded.backbone_feature_sizes)
        self.prompts_per_batch = _PROMPTS_PER_BATCH[device.type]

    def add_memory(self) -> None:
        """Follow objects by the video memory of a loaded `Sam3TrackerVideoModel`."""
        self.memory = VideoMemoryNetwork(self._network, self._side, self._positions, self._dtype)

    @torch.inference_mode()
    def encode_image(self, image: RgbImage) -> list[Tensor]:
        """Encode one image to a feature pyramid: (1, C, h, w) for each level, the finest first.

        Where the detector's encoding of the image is kept, the image encoder does not run again.
        """
        encoder = self._network.vision_encoder

        def encode() -> Tensor:
            with stage("prepare"):
                pixels = self._prepare(image, (self._side, self._side))[None]
            with stage("encode"):
                states: Tensor = encoder.backbone(pixels).last_hidden_state
                return states

        states = encoded_once(self._detector, (image,), encode)
        with stage("encode"):
            cells = self._positions.shape[-2:]
            as_image = states.transpose(1, 2).unflatten(2, cells)  # type: ignore[no-untyped-call]
            pyramid, _ = encoder.neck(as_image)
            first, second, *others = pyramid[: self._levels]
            decoder = self._network.mask_decoder
            levels = [decoder.conv_s0(first), decoder.conv_s1(second), *others]
            levels[-1] = levels[-1] + self._no_memory
        return levels

    @torch.inference_mode()
    def decode_prompts(
        self, features: list[Tensor], size: tuple[int, int], prompts: PromptBatch, several: bool
    ) -> tuple[Tensor, Tensor]:
        """Decode masks of prompts: logits (N, M, h, w) and predicted IoUs (N, M)."""
        scale = self._side / size[1], self._side / size[0]
        return decode_prompts(self._network, features, self._positions, scale, prompts, several)


def holds_tracker(folder: Path) -> bool:
    """Return whether a checkpoint holds weights of a tracker; many copies have the detector alone."""
    return any(name.startswith(_PREFIX) for name in weight_names(folder))
