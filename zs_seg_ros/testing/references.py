# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""transformers' own pipelines, as their documentation calls them: the references of `zs-seg bench`.

The node does not use them. A reference takes one image and prompts and does everything for each frame, from
preprocessing to masks of the image's size. Where transformers' own image processor needs torchvision (SAM 2, EdgeTAM,
SAM 3, TIPSv2), images are preprocessed as in this package, which is faster; likewise the non-maximum suppression of
OmDet-Turbo.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.checkpoint import find_checkpoint, model_type
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision
from zs_seg_ros.segmenters.shared.image_tensors import prepare
from zs_seg_ros.segmenters.shared.pretrained import quiet
from zs_seg_ros.shown import quoted
from zs_seg_ros.testing.reference_detectors import DETECTORS
from zs_seg_ros.testing.reference_mask_models import MASK_MODELS
from zs_seg_ros.testing.reference_steps import Reference, full_resolution, load_model, to_device
from zs_seg_ros.types import RgbImage, size_of

_HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def load_reference(model: str, options: LoadOptions) -> Reference:
    """Load the reference of a model on disk, or of a pair. Raises ModelError for a kind without a pipeline."""
    device = choose_device(options.device)
    precision = choose_precision(options, device)
    folders = [find_checkpoint(part.strip(), options.revision) for part in model.split(" + ")]
    kinds = [model_type(model, folder) for folder in folders]
    with quiet():
        if len(folders) == 2 and kinds[0] in DETECTORS and kinds[1] in MASK_MODELS:
            detect = DETECTORS[kinds[0]](folders[0], device, precision)
            segment = MASK_MODELS[kinds[1]](folders[1], device, precision)
            return lambda image, prompts, threshold: segment(
                image, detect(image, prompts, threshold)
            )
        if kinds[0] not in _REFERENCES:
            raise ModelError(f"transformers has no pipeline for models of kind {quoted(kinds[0])}")
        return _REFERENCES[kinds[0]](folders[0], device, precision)


def _clipseg(folder: Path, device: torch.device, dtype: torch.dtype) -> Reference:
    from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor, CLIPTokenizer
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    processor = CLIPSegProcessor(
        ViTImageProcessorPil.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    )
    model = load_model(CLIPSegForImageSegmentation, folder, device, dtype)

    @torch.inference_mode()
    def run(image: RgbImage, prompts: Sequence[str], _threshold: float) -> Any:
        images = [image] * len(prompts)
        inputs = processor(text=list(prompts), images=images, padding=True, return_tensors="pt")
        logits = model(**to_device(inputs, device, dtype)).logits
        return logits.view(len(prompts), *logits.shape[-2:]).sigmoid().float().cpu()

    return run


def _sam3(folder: Path, device: torch.device, dtype: torch.dtype) -> Reference:
    from transformers import CLIPTokenizer
    from transformers.models.sam3.modeling_sam3 import Sam3Model
    from transformers.models.sam3_lite_text.modeling_sam3_lite_text import Sam3LiteTextModel

    kind = Sam3LiteTextModel if "lite_text" in model_type("", folder) else Sam3Model
    model, tokenizer = (
        load_model(kind, folder, device, dtype),
        CLIPTokenizer.from_pretrained(folder),
    )
    mean, std = (torch.tensor(values, device=device) for values in _HALVES)
    side: int = model.config.image_size

    @torch.inference_mode()
    def run(image: RgbImage, prompts: Sequence[str], threshold: float) -> Any:
        words = tokenizer(list(prompts), padding="max_length", max_length=32, return_tensors="pt")
        pixels = prepare([image], (side, side), mean, std, dtype)
        output = model(pixel_values=pixels.expand(len(prompts), -1, -1, -1), **words.to(device))
        scores = output.pred_logits.sigmoid() * output.presence_logits.sigmoid()
        masks = output.pred_masks.sigmoid()[scores > threshold].float()
        return full_resolution(masks, image, 0.5)

    return run


def _tipsv2(folder: Path, device: torch.device, dtype: torch.dtype) -> Reference:
    """The authors' recipe: nine templates for each prompt, and a last attention that returns each patch's own value."""
    from transformers import Tipsv2Model
    from transformers.models.tipsv2.tokenization_tipsv2 import Tipsv2Tokenizer

    from zs_seg_ros.segmenters.tipsv2.segmenter import TEMPLATES

    model, tokenizer = (
        load_model(Tipsv2Model, folder, device, dtype),
        Tipsv2Tokenizer.from_pretrained(folder),
    )
    attention = model.vision_model.encoder.layer[-1].attention
    attention.forward = lambda hidden, **_: (attention.o_proj(attention.v_proj(hidden)), None)
    config = model.config.vision_config
    side, patches = config.image_size, config.image_size // config.patch_size
    mean, std = torch.zeros(3, device=device), torch.ones(3, device=device)

    @torch.inference_mode()
    def run(image: RgbImage, prompts: Sequence[str], _threshold: float) -> Any:
        texts = [template.format(prompt) for prompt in prompts for template in TEMPLATES]
        words = tokenizer(texts, padding="max_length", max_length=64, return_tensors="pt")
        text = model.get_text_features(**words.to(device)).pooler_output
        text = functional.normalize(text, dim=-1).view(len(prompts), len(TEMPLATES), -1).mean(dim=1)
        pixels = prepare([image], (side, side), mean, std, dtype)
        features = model.get_image_features(pixels).last_hidden_state[0, -patches * patches :]
        cosines = functional.normalize(features, dim=-1) @ functional.normalize(text, dim=-1).T
        maps = cosines.T.view(1, len(prompts), patches, patches).float()
        return functional.interpolate(maps, size_of(image), mode="bilinear")[0].argmax(dim=0).cpu()

    return run


def _segformer(folder: Path, device: torch.device, dtype: torch.dtype) -> Reference:
    from transformers import SegformerForSemanticSegmentation
    from transformers.models.segformer.image_processing_pil_segformer import (
        SegformerImageProcessorPil,
    )

    processor = SegformerImageProcessorPil.from_pretrained(folder)
    model = load_model(SegformerForSemanticSegmentation, folder, device, dtype)

    @torch.inference_mode()
    def run(image: RgbImage, _prompts: Sequence[str], _threshold: float) -> Any:
        inputs = processor(images=image, return_tensors="pt")
        output = model(**to_device(inputs, device, dtype))
        return processor.post_process_semantic_segmentation(output, [size_of(image)])[0].cpu()

    return run


def _eomt(folder: Path, device: torch.device, dtype: torch.dtype) -> Reference:
    from transformers import EomtForUniversalSegmentation
    from transformers.models.eomt.image_processing_pil_eomt import EomtImageProcessorPil

    processor = EomtImageProcessorPil.from_pretrained(folder)
    model = load_model(EomtForUniversalSegmentation, folder, device, dtype)

    @torch.inference_mode()
    def run(image: RgbImage, _prompts: Sequence[str], _threshold: float) -> Any:
        inputs = processor(images=image, return_tensors="pt")
        output = model(**to_device(inputs, device, dtype))
        return processor.post_process_semantic_segmentation(output, [size_of(image)])[0].cpu()

    return run


_REFERENCES: dict[str, Callable[[Path, torch.device, torch.dtype], Reference]] = {
    "clipseg": _clipseg,
    "eomt": _eomt,
    "sam3": _sam3,
    "sam3_video": _sam3,
    "sam3_lite_text": _sam3,
    "segformer": _segformer,
    "tipsv2": _tipsv2,
}
