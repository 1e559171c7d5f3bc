# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""SAM-HQ: boxes and points to masks with fine edges (Ke et al. 2023, arXiv 2306.01567).

It loads any checkpoint of transformers' `SamHQModel`, such as syscv-community/sam-hq-vit-base.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import SamHQModel
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil
from transformers.models.sam_hq.modeling_sam_hq import SamHQVisionAttention

from zs_seg_ros.segmenters.boxes_then_masks.boxes import BoxSegmenter
from zs_seg_ros.segmenters.boxes_then_masks.sam2 import BOXES_PER_BATCH
from zs_seg_ros.segmenters.engines.parts import Exportable, NetworkPart, Run, image_encoder
from zs_seg_ros.segmenters.kept_images import encoded_once
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.compiled import Compiled
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision, precision_name
from zs_seg_ros.segmenters.shared.image_tensors import IMAGENET_MEAN, IMAGENET_STD, prepare
from zs_seg_ros.segmenters.shared.pretrained import ImageFormat, load_image_format, load_model
from zs_seg_ros.segmenters.shared.prompted_masks import PromptBatch, PromptedNetwork
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.types import RgbImage, size_of


class SamHqBoxSegmenter(BoxSegmenter, PromptedNetwork[tuple[Tensor, list[Tensor]]], Exportable):
    """SAM-HQ from a checkpoint folder in the format of transformers."""

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        self.model = model
        device = choose_device(options.device)
        self._dtype = choose_precision(options, device, "sam_hq")
        self.precision = precision_name(self._dtype)
        loaded = load_model(SamHQModel, model, folder, torch.float32)
        side: int = loaded.config.vision_config.image_size
        default = ImageFormat((side, side), IMAGENET_MEAN, IMAGENET_STD)
        self._format = load_image_format(SamImageProcessorPil, model, folder, default)
        self._format.check_square(side, model)
        self._side = side
        self._network = loaded.to(device)
        with torch.inference_mode():
            self._positions = self._network.get_image_wide_positional_embeddings().to(self._dtype)
        # The prompt encoder stays in 32 bits: in 16, the coordinates of boxes would be off by pixels.
        self._network.vision_encoder.to(self._dtype)
        self._network.mask_decoder.to(self._dtype)
        _keep_relative_positions(self._network.vision_encoder)
        self.prompts_per_batch = BOXES_PER_BATCH[device.type]
        self._encode: Callable[[Tensor], tuple[Tensor, list[Tensor]]]
        self._encode = self._network.get_image_embeddings
        if options.compile:
            self._encode = Compiled(self._network.get_image_embeddings, dynamic=False)
        self._mean = torch.tensor(self._format.mean, device=device)
        self._std = torch.tensor(self._format.std, device=device)

    def network_parts(self) -> tuple[NetworkPart, ...]:
        """Return the image encoder."""
        encoder = self._network.vision_encoder
        depth = sum(layer.window_size == 0 for layer in encoder.layers)

        def encode(pixels: Tensor) -> tuple[Tensor, ...]:
            embedding, of_layers = self._network.get_image_embeddings(pixels)
            return embedding, *of_layers

        return (
            image_encoder(
                "sam_hq_image_encoder",
                encode,
                encoder,
                (self._side, self._side),
                ("embedding", *(f"layer{number}" for number in range(depth))),
                self._encode_with,
            ),
        )

    def _encode_with(self, run: Run) -> None:
        def encode(pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
            embedding, *of_layers = run(pixels)
            return embedding, of_layers

        self._encode = encode

    @torch.inference_mode()
    def masks(self, images: Sequence[RgbImage], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Return for each image the mask logits (N, h, w) of its boxes."""
        return [
            self._masks(image, corners) if len(corners) else corners.new_zeros(0, 1, 1)
            for image, corners in zip(images, boxes, strict=True)
        ]

    def _masks(self, image: RgbImage, corners: Tensor) -> Tensor:
        """Encode one image and decode the masks of its boxes (N, 4): logits (N, h, w) float32."""
        features = self.encode_image(image)
        with stage("decode"):
            return self.decode_boxes(features, size_of(image), corners)

    @torch.inference_mode()
    def encode_image(self, image: RgbImage) -> tuple[Tensor, list[Tensor]]:
        """Encode one image to its embedding and those of intermediate layers."""

        def encode() -> tuple[Tensor, list[Tensor]]:
            inner = self._inner_size(size_of(image))
            with stage("prepare"):
                resample = self._format.resample
                pixels = prepare([image], inner, self._mean, self._std, self._dtype, resample)
                missing = self._side - inner[1], self._side - inner[0]
                pixels = functional.pad(pixels, (0, missing[0], 0, missing[1]))
            with stage("encode"):
                return self._encode(pixels)

        return encoded_once(self, (image,), encode)

    def _inner_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the (height, width) to which an image of `size` (H, W) is resized to fit the model's square."""
        scale = self._side / max(size)
        return max(1, int(size[0] * scale + 0.5)), max(1, int(size[1] * scale + 0.5))

    @torch.inference_mode()
    def decode_prompts(
        self,
        features: tuple[Tensor, list[Tensor]],
        size: tuple[int, int],
        prompts: PromptBatch,
        several: bool,
    ) -> tuple[Tensor, Tensor]:
        """Decode masks of prompts: logits (N, M, h, w) and predicted IoUs (N, M)."""
        inner = self._inner_size(size)
        inputs = prompts.scaled(inner[1] / size[1], inner[0] / size[0], self._mean.device)
        sparse, dense = self._network.prompt_encoder(*inputs.as_one_image(), None)
        coarse, fine = features
        logits, predicted_iou = self._network.mask_decoder(
            image_embeddings=coarse,
            image_positional_embeddings=self._positions,
            sparse_prompt_embeddings=sparse.to(self._dtype),
            dense_prompt_embeddings=dense.to(self._dtype),
            multimask_output=several,
            hq_token_only=False,
            intermediate_embeddings=fine,
        )
        # The first of two resizes, as in the authors' code: the padding is cut off between them.
        square = self._side, self._side
        masks = functional.interpolate(logits[0].float(), square, mode="bilinear")
        return masks[..., : inner[0], : inner[1]], predicted_iou[0].float()


def _keep_relative_positions(encoder: nn.Module) -> None:
    """Compute the relative positions of each attention once; transformers uploads indices for them in every call."""
    for module in encoder.modules():
        if isinstance(module, SamHQVisionAttention):
            compute = partial(SamHQVisionAttention.get_rel_pos, None)
            module.get_rel_pos = lru_cache(maxsize=2)(compute)  # of rows and of columns
