# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""SAM 2 and EdgeTAM: prompts to masks (Ravi et al. 2024, arXiv 2408.00714; Zhou et al. 2025, arXiv 2501.07256).

It loads any checkpoint of transformers' `Sam2Model` or `EdgeTamModel` and, with their video memory, the checkpoints of
their video models, such as facebook/sam2.1-hiera-tiny.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from transformers import (
    EdgeTamModel,
    EdgeTamVideoModel,
    PreTrainedModel,
    Sam2Model,
    Sam2VideoModel,
)
from transformers.models.sam2.modeling_sam2 import Sam2FeedForward
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from zs_seg_ros.segmenters.boxes_then_masks.boxes import BoxSegmenter
from zs_seg_ros.segmenters.engines.parts import Exportable, NetworkPart, Run, image_encoder
from zs_seg_ros.segmenters.kept_images import encoded_once, keep_encoding
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.chunked import chunked_feed_forward
from zs_seg_ros.segmenters.shared.compiled import Compiled
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision, precision_name
from zs_seg_ros.segmenters.shared.image_tensors import IMAGENET_MEAN, IMAGENET_STD, prepare
from zs_seg_ros.segmenters.shared.input_size import choose_input_size
from zs_seg_ros.segmenters.shared.memory_network import (
    RemembersObjects,
    VideoMemoryNetwork,
    holds_memory,
    memory_fits,
)
from zs_seg_ros.segmenters.shared.pretrained import ImageFormat, load_image_format, load_model
from zs_seg_ros.segmenters.shared.prompted_masks import PromptBatch, PromptedNetwork
from zs_seg_ros.segmenters.shared.sam2_prompts import decode_prompts
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.types import RgbImage, size_of

BOXES_PER_BATCH = {"cpu": 4, "cuda": 32}
"""Boxes per run of the mask decoder. It bounds the memory: a box takes about 30 MB while its mask is decoded."""


class _Images(ViTImageProcessorPil):  # type: ignore[misc]
    """The defaults of SAM 2's own processor, which needs torchvision."""

    image_mean = IMAGENET_MEAN
    image_std = IMAGENET_STD
    size: ClassVar[dict[str, int]] = {"height": 1024, "width": 1024}


class Sam2BoxSegmenter(BoxSegmenter, PromptedNetwork[list[Tensor]], RemembersObjects, Exportable):
    """SAM 2 from a checkpoint folder in the format of transformers."""

    takes_input_size = True
    _kind: type[PreTrainedModel] = Sam2Model
    _video_kind: type[PreTrainedModel] = Sam2VideoModel
    _family = "sam2"

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        self.model = model
        device = choose_device(options.device)
        self._dtype = choose_precision(options, device, self._family)
        self.precision = precision_name(self._dtype)
        remembers = holds_memory(folder)
        kind = self._video_kind if remembers else self._kind
        loaded = load_model(kind, model, folder, torch.float32)
        side: int = loaded.config.prompt_encoder_config.image_size
        default = ImageFormat((side, side), IMAGENET_MEAN, IMAGENET_STD)
        self._format = load_image_format(_Images, model, folder, default)
        self._format.check_square(side, model)
        self._side = self._resize(loaded, options.inference_size)
        if device.type == "cpu":
            chunked_feed_forward(loaded.vision_encoder, Sam2FeedForward)
        self._network = loaded.to(device)
        with torch.inference_mode():
            self._positions = self._network.get_image_wide_positional_embeddings().to(self._dtype)
        # The prompt encoder stays in 32 bits: in 16, the coordinates of boxes would be off by pixels.
        self._network.vision_encoder.to(self._dtype)
        self._network.mask_decoder.to(self._dtype)
        self._network.no_memory_embedding.data = self._network.no_memory_embedding.to(self._dtype)
        if remembers and self._memory_fits(loaded):
            self.memory = VideoMemoryNetwork(
                self._network, self._side, self._positions, self._dtype
            )
        self.prompts_per_batch = BOXES_PER_BATCH[device.type]
        self._images_per_batch = 1 if device.type == "cpu" or options.compile else 8
        self._encode: Callable[[Tensor], list[Tensor]] = self._network.get_image_embeddings
        if options.compile:
            self._encode = Compiled(self._network.get_image_embeddings, dynamic=False)
        self._mean = torch.tensor(self._format.mean, device=device)
        self._std = torch.tensor(self._format.std, device=device)

    def _memory_fits(self, loaded: PreTrainedModel) -> bool:
        """Return whether the memory works, also at the input size."""
        return memory_fits(loaded)

    def network_parts(self) -> tuple[NetworkPart, ...]:
        """Return the image encoder, at the model's input size."""
        network, levels = self._network, len(self._network.backbone_feature_sizes)
        return (
            image_encoder(
                f"{self._family}_image_encoder",
                lambda pixels: tuple(network.get_image_embeddings(pixels)),
                network,
                (self._side, self._side),
                tuple(f"level{level}" for level in range(levels)),
                self._encode_with,
                matrix_products=self._family == "sam2",  # EdgeTAM's consists of convolutions
            ),
        )

    def _encode_with(self, run: Run) -> None:
        self._encode = lambda pixels: list(run(pixels))

    def _resize(self, loaded: PreTrainedModel, requested: int) -> int:
        """Make the model ready for images of the requested side, and return the side.

        transformers does it in the constructor, from the sizes in a configuration. The position embeddings of the image
        encoder are interpolated in its forward pass.
        """
        own, _ = self._format.size
        strides = [own // size[0] for size in loaded.backbone_feature_sizes]
        multiple = math.lcm(2 * max(strides), _multiple_of_windows(loaded))
        side, _ = choose_input_size(
            self.model, requested, self._format.size, multiple=multiple, least=2 * multiple
        )
        if side != own:
            loaded.backbone_feature_sizes = [[side // stride] * 2 for stride in strides]
            prompts = loaded.prompt_encoder
            cells = side * prompts.image_embedding_size[0] // own
            prompts.image_embedding_size = cells, cells
            prompts.mask_input_size = 4 * cells, 4 * cells
            prompts.input_image_size = side
        return side

    @torch.inference_mode()
    def masks(self, images: Sequence[RgbImage], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Return for each image the mask logits (N, h, w) of its boxes."""
        with_boxes = [i for i, corners in enumerate(boxes) if len(corners)]
        masks = [corners.new_zeros(0, 1, 1) for corners in boxes]
        for start in range(0, len(with_boxes), self._images_per_batch):
            batch = with_boxes[start : start + self._images_per_batch]
            levels = self.encode_images([images[i] for i in batch])
            for row, i in enumerate(batch):
                with stage("decode"):
                    of_image = [level[row : row + 1] for level in levels]
                    keep_encoding(self, images[i], of_image)
                    masks[i] = self.decode_boxes(of_image, size_of(images[i]), boxes[i])
        return masks

    @torch.inference_mode()
    def encode_images(self, images: Sequence[RgbImage]) -> list[Tensor]:
        """Encode images to a feature pyramid for the mask decoder: (B, C, h, w) for each level, the finest first."""

        def encode() -> list[Tensor]:
            with stage("prepare"):
                size = self._side, self._side
                resample = self._format.resample
                pixels = prepare(images, size, self._mean, self._std, self._dtype, resample)
            with stage("encode"):
                return self._encode(pixels)

        return encoded_once(self, images, encode)

    def encode_image(self, image: RgbImage) -> list[Tensor]:
        """Encode one image to a feature pyramid."""
        return self.encode_images([image])

    @torch.inference_mode()
    def decode_prompts(
        self, features: list[Tensor], size: tuple[int, int], prompts: PromptBatch, several: bool
    ) -> tuple[Tensor, Tensor]:
        """Decode masks of prompts: logits (N, M, h, w) and predicted IoUs (N, M)."""
        scale = self._side / size[1], self._side / size[0]
        return decode_prompts(self._network, features, self._positions, scale, prompts, several)


def _multiple_of_windows(loaded: PreTrainedModel) -> int:
    """Return the pixels of a tile of the image encoder's window positions; 1 for an encoder without them."""
    tiles = getattr(loaded.vision_encoder.backbone, "pos_embed_window", None)
    if tiles is None:
        return 1
    config = loaded.config.vision_config.backbone_config
    return int(tiles.shape[-1] * config.patch_stride[0])


class EdgeTamBoxSegmenter(Sam2BoxSegmenter):
    """EdgeTAM, which is SAM 2 with an image encoder of timm, from a checkpoint folder in the format of transformers."""

    _kind = EdgeTamModel
    _video_kind = EdgeTamVideoModel
    _family = "edgetam"

    def _memory_fits(self, loaded: PreTrainedModel) -> bool:
        """Return whether the image divides into the windows that the memory pools."""
        windows = math.isqrt(loaded.config.perceiver_resampler_num_latents_2d)
        divides = int(loaded.prompt_encoder.image_embedding_size[0]) % windows == 0
        return divides and memory_fits(loaded)
