# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Mask models for bounding boxes as transformers' documentation calls them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from zs_seg_ros.segmenters.shared.checkpoint import model_type
from zs_seg_ros.segmenters.shared.image_tensors import prepare
from zs_seg_ros.testing.reference_steps import Segment, full_resolution, load_model
from zs_seg_ros.types import RgbImage, size_of

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _sam_hq(folder: Path, device: torch.device, dtype: torch.dtype) -> Segment:
    from transformers import SamHQModel, SamHQProcessor
    from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

    processor = SamHQProcessor(SamImageProcessorPil.from_pretrained(folder))
    model = load_model(SamHQModel, folder, device, dtype)

    @torch.inference_mode()
    def run(image: RgbImage, boxes: Tensor) -> Tensor:
        if not len(boxes):
            return torch.zeros(0, *size_of(image))
        inputs = processor(images=[image], input_boxes=[boxes.tolist()], return_tensors="pt")
        sizes = inputs["original_sizes"], inputs["reshaped_input_sizes"]
        output = model(
            pixel_values=inputs["pixel_values"].to(device, dtype),
            input_boxes=inputs["input_boxes"].to(device, dtype),
            multimask_output=False,
        )
        masks: list[Tensor] = processor.post_process_masks(output.pred_masks.float().cpu(), *sizes)
        return masks[0][:, 0]

    return run


def _sam2(folder: Path, device: torch.device, dtype: torch.dtype) -> Segment:
    from transformers import EdgeTamModel, Sam2Model

    kind = EdgeTamModel if "edgetam" in model_type("", folder) else Sam2Model
    model = load_model(kind, folder, device, dtype)
    mean, std = (torch.tensor(values, device=device) for values in _IMAGENET)
    side: int = model.config.prompt_encoder_config.image_size

    @torch.inference_mode()
    def run(image: RgbImage, boxes: Tensor) -> Tensor:
        if not len(boxes):
            return torch.zeros(0, *size_of(image))
        height, width = size_of(image)
        scaled = boxes * boxes.new_tensor([side / width, side / height] * 2)
        output = model(
            pixel_values=prepare([image], (side, side), mean, std, dtype),
            input_boxes=scaled[None].to(dtype),
            multimask_output=False,
        )
        return full_resolution(output.pred_masks[0, :, 0].float(), image, 0.0)

    return run


MASK_MODELS: dict[str, Callable[[Path, torch.device, torch.dtype], Segment]] = {
    "sam2": _sam2,
    "sam2_video": _sam2,
    "edgetam": _sam2,
    "edgetam_video": _sam2,
    "sam_hq": _sam_hq,
}
