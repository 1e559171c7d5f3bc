"""SAM 2 and EdgeTAM: boxes to masks (Ravi et al. 2024, arXiv 2408.00714; Zhou et al. 2025, arXiv 2501.07256).

Any checkpoint of transformers' `Sam2Model` or `EdgeTamModel`, such as facebook/sam2.1-hiera-tiny. One that was made to
follow things through a video will do as well: what its memory needs is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import EdgeTamModel, PreTrainedModel, Sam2Model
from transformers.models.sam2.modeling_sam2 import Sam2FeedForward
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil
from transformers.utils import is_timm_available

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.boxes_then_masks.boxes import BoxSegmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.chunked import chunked_feed_forward
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision
from zs_seg_ros.segmenters.shared.image_tensors import prepare
from zs_seg_ros.segmenters.shared.pretrained import ImageFormat, load_image_format, load_model
from zs_seg_ros.segmenters.shared.stages import stage
from zs_seg_ros.types import RgbImage, size_of

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BOXES_PER_BATCH = {"cpu": 4, "cuda": 32}
"""Bounds the memory: a box takes about 30 MB while its mask is made."""


class Sam2BoxSegmenter(BoxSegmenter):
    """A SAM 2 checkpoint from a folder in the format of transformers."""

    _kind: type[PreTrainedModel] = Sam2Model

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        self.model = model
        device = choose_device(options.device)
        self._dtype = choose_precision(options, device)
        loaded = load_model(self._kind, model, folder, torch.float32)
        side: int = loaded.config.prompt_encoder_config.image_size
        default = ImageFormat((side, side), IMAGENET_MEAN, IMAGENET_STD)
        # SAM 2's own processor wants torchvision; for the numbers in its file any processor will do.
        self._format = load_image_format(ViTImageProcessorPil, model, folder, default)
        if self._format.size != (side, side):
            height, width = self._format.size
            raise ModelError(
                f"the preprocessor of {model} makes images of {width}x{height} and the model takes "
                f"{side}x{side}; fetch the checkpoint again"
            )
        if device.type == "cpu":
            chunked_feed_forward(loaded.vision_encoder, Sam2FeedForward)
        self._network = loaded.to(device)
        with torch.inference_mode():
            self._positions = self._network.get_image_wide_positional_embeddings().to(self._dtype)
        # Where a box lies stays in 32 bits: 16 would move it by pixels.
        self._network.vision_encoder.to(self._dtype)
        self._network.mask_decoder.to(self._dtype)
        self._network.no_memory_embedding.data = self._network.no_memory_embedding.to(self._dtype)
        self._boxes_per_batch = BOXES_PER_BATCH[device.type]
        self._images_per_batch = 1 if device.type == "cpu" or options.compile else 8
        self._read: Callable[[Tensor], list[Tensor]] = self._network.get_image_embeddings
        if options.compile:
            self._read = torch.compile(self._network.get_image_embeddings, dynamic=False)
        self._mean = torch.tensor(self._format.mean, device=device)
        self._std = torch.tensor(self._format.std, device=device)

    @torch.inference_mode()
    def masks(self, images: Sequence[RgbImage], boxes: Sequence[Tensor]) -> list[Tensor]:
        shown = [i for i, corners in enumerate(boxes) if len(corners)]
        found = [corners.new_zeros(0, 1, 1) for corners in boxes]
        for start in range(0, len(shown), self._images_per_batch):
            part = shown[start : start + self._images_per_batch]
            levels = self.encode_images([images[i] for i in part])
            for place, i in enumerate(part):
                with stage("decode"):
                    one = [level[place : place + 1] for level in levels]
                    found[i] = self._decode(one, boxes[i], size_of(images[i]))
        return found

    @torch.inference_mode()
    def encode_images(self, images: Sequence[RgbImage]) -> list[Tensor]:
        """What the decoder reads of images, (B, channels, h, w) for each level of detail, the finest first."""
        with stage("prepare"):
            pixels = prepare(images, self._format.size, self._mean, self._std, self._dtype)
        with stage("encode"):
            return self._read(pixels)

    def _decode(self, levels: list[Tensor], corners: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, h, w) float32 logits for boxes (N, 4) in one image of `size` (H, W)."""
        height, width = size
        side = self._format.size[0]
        scale = corners.new_tensor([side / width, side / height] * 2)
        masks = []
        for part in torch.split(corners.float() * scale, self._boxes_per_batch):
            where, whole = self._network.prompt_encoder(None, None, part[None], None)
            logits, *_ = self._network.mask_decoder(
                image_embeddings=levels[-1],
                image_positional_embeddings=self._positions,
                sparse_prompt_embeddings=where.to(self._dtype),
                dense_prompt_embeddings=whole.to(self._dtype),
                multimask_output=False,  # a box leaves no doubt about which thing is meant
                high_resolution_features=levels[:-1],
            )
            masks.append(logits[0, :, 0].float())
        return torch.cat(masks)


class EdgeTamBoxSegmenter(Sam2BoxSegmenter):
    """An EdgeTAM checkpoint: SAM 2 with the image encoder of timm in place of its own."""

    _kind = EdgeTamModel

    def __init__(self, model: str, folder: Path, options: LoadOptions) -> None:
        if '"timm_wrapper"' in (folder / "config.json").read_text() and not is_timm_available():
            raise ModelError(
                f"{model} needs the package timm, which is not installed; install it: pip install timm"
            )
        super().__init__(model, folder, options)
