"""transformers' own pipelines, as their documentation calls them: what `zs-seg bench` compares with.

Nothing here is on a frame's way. A reference takes one picture and words and does everything for each frame, from
processor to masks of the picture's size. Where transformers' own image processor wants torchvision (SAM 2, EdgeTAM,
SAM 3), pictures are prepared as this package does it, which is faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters import LoadOptions, model_type
from zs_seg_ros.segmenters.checkpoint import find_checkpoint
from zs_seg_ros.segmenters.device import choose_device, choose_precision
from zs_seg_ros.segmenters.pictures import prepare
from zs_seg_ros.segmenters.pretrained import quiet
from zs_seg_ros.types import Picture, size_of

Reference = Callable[[Picture, Sequence[str], float], Any]
"""A picture, phrases and the least score, to masks or probabilities on the CPU."""
_FindBoxes = Callable[[Picture, Sequence[str], float], Tensor]
"""The same to boxes: (N, 4), left, top, right, bottom in pixels."""
_CutOut = Callable[[Picture, Tensor], Tensor]
"""A picture and boxes to masks (N, H, W)."""
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def load_reference(model: str, options: LoadOptions) -> Reference:
    """The reference of a model on disk, or of a pair. Raises ModelError when transformers has none for its kind."""
    device = choose_device(options.device)
    how = device, choose_precision(options, device)
    folders = [find_checkpoint(part.strip(), options.revision) for part in model.split(" + ")]
    kinds = [model_type(model, folder) for folder in folders]
    with quiet():
        if len(folders) == 2 and kinds[0] in _DETECTORS and kinds[1] in _MASK_MODELS:
            detect = _DETECTORS[kinds[0]](folders[0], *how)
            cut_out = _MASK_MODELS[kinds[1]](folders[1], *how)
            return lambda picture, phrases, threshold: cut_out(
                picture, detect(picture, phrases, threshold)
            )
        if kinds[0] not in _REFERENCES:
            raise ModelError(f"transformers has no pipeline for models of kind {kinds[0]!r}")
        return _REFERENCES[kinds[0]](folders[0], *how)


def _load(kind: Any, folder: Path, device: torch.device, dtype: torch.dtype) -> Any:
    return kind.from_pretrained(folder, use_safetensors=True, dtype=dtype).to(device).eval()


def _to(inputs: Any, device: torch.device, dtype: torch.dtype) -> Any:
    inputs = inputs.to(device)
    inputs["pixel_values"] = inputs["pixel_values"].to(dtype)
    return inputs


def _clipseg(folder: Path, device: torch.device, dtype: torch.dtype) -> Reference:
    from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor, CLIPTokenizer
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    processor = CLIPSegProcessor(
        ViTImageProcessorPil.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    )
    model = _load(CLIPSegForImageSegmentation, folder, device, dtype)

    @torch.inference_mode()
    def run(picture: Picture, phrases: Sequence[str], _threshold: float) -> Any:
        images = [picture] * len(phrases)
        inputs = processor(text=list(phrases), images=images, padding=True, return_tensors="pt")
        logits = model(**_to(inputs, device, dtype)).logits
        return logits.view(len(phrases), *logits.shape[-2:]).sigmoid().float().cpu()

    return run


def _sam3(folder: Path, device: torch.device, dtype: torch.dtype) -> Reference:
    from transformers import CLIPTokenizer
    from transformers.models.sam3.modeling_sam3 import Sam3Model
    from transformers.models.sam3_lite_text.modeling_sam3_lite_text import Sam3LiteTextModel

    kind = Sam3LiteTextModel if "lite_text" in model_type("", folder) else Sam3Model
    model, tokenizer = (
        _load(kind, folder, device, dtype),
        CLIPTokenizer.from_pretrained(folder),
    )
    mean, std = (torch.tensor(values, device=device) for values in _HALVES)
    side: int = model.config.image_size

    @torch.inference_mode()
    def run(picture: Picture, phrases: Sequence[str], threshold: float) -> Any:
        words = tokenizer(list(phrases), padding="max_length", max_length=32, return_tensors="pt")
        pixels = prepare([picture], (side, side), mean, std, dtype)
        found = model(pixel_values=pixels.expand(len(phrases), -1, -1, -1), **words.to(device))
        scores = found.pred_logits.sigmoid() * found.presence_logits.sigmoid()
        masks = found.pred_masks.sigmoid()[scores > threshold].float()
        return _full_size(masks, picture, 0.5)

    return run


def _segformer(folder: Path, device: torch.device, dtype: torch.dtype) -> Reference:
    from transformers import SegformerForSemanticSegmentation
    from transformers.models.segformer.image_processing_pil_segformer import (
        SegformerImageProcessorPil,
    )

    processor = SegformerImageProcessorPil.from_pretrained(folder)
    model = _load(SegformerForSemanticSegmentation, folder, device, dtype)

    @torch.inference_mode()
    def run(picture: Picture, _phrases: Sequence[str], _threshold: float) -> Any:
        inputs = processor(images=picture, return_tensors="pt")
        found = model(**_to(inputs, device, dtype))
        return processor.post_process_semantic_segmentation(found, [size_of(picture)])[0].cpu()

    return run


def _owlv2(folder: Path, device: torch.device, dtype: torch.dtype) -> _FindBoxes:
    from transformers import CLIPTokenizer, Owlv2ForObjectDetection, Owlv2Processor
    from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

    processor = Owlv2Processor(
        Owlv2ImageProcessorPil.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    )
    model = _load(Owlv2ForObjectDetection, folder, device, dtype)

    @torch.inference_mode()
    def run(picture: Picture, phrases: Sequence[str], threshold: float) -> Tensor:
        inputs = processor(text=[list(phrases)], images=picture, return_tensors="pt")
        found = model(**_to(inputs, device, dtype))
        [result] = processor.post_process_grounded_object_detection(
            found, threshold=threshold, target_sizes=[size_of(picture)]
        )
        boxes: Tensor = result["boxes"].float()
        return boxes

    return run


def _grounding_dino(folder: Path, device: torch.device, dtype: torch.dtype) -> _FindBoxes:
    from transformers import (
        AutoModelForZeroShotObjectDetection,
        BertTokenizer,
        GroundingDinoProcessor,
    )
    from transformers.models.grounding_dino.image_processing_pil_grounding_dino import (
        GroundingDinoImageProcessorPil,
    )

    processor = GroundingDinoProcessor(
        GroundingDinoImageProcessorPil.from_pretrained(folder),
        BertTokenizer.from_pretrained(folder),
    )
    model = _load(AutoModelForZeroShotObjectDetection, folder, device, dtype)

    @torch.inference_mode()
    def run(picture: Picture, phrases: Sequence[str], threshold: float) -> Tensor:
        inputs = processor(images=picture, text=[list(phrases)], return_tensors="pt")
        inputs = _to(inputs, device, dtype)
        found = model(**inputs)
        [result] = processor.post_process_grounded_object_detection(
            found,
            inputs["input_ids"],
            threshold=threshold,
            text_threshold=threshold,
            target_sizes=[size_of(picture)],
        )
        boxes: Tensor = result["boxes"].float()
        return boxes

    return run


def _sam2(folder: Path, device: torch.device, dtype: torch.dtype) -> _CutOut:
    from transformers import EdgeTamModel, Sam2Model

    kind = EdgeTamModel if "edgetam" in model_type("", folder) else Sam2Model
    model = _load(kind, folder, device, dtype)
    mean, std = (torch.tensor(values, device=device) for values in _IMAGENET)
    side: int = model.config.prompt_encoder_config.image_size

    @torch.inference_mode()
    def run(picture: Picture, boxes: Tensor) -> Tensor:
        if not len(boxes):
            return torch.zeros(0, *size_of(picture))
        height, width = size_of(picture)
        scaled = boxes * boxes.new_tensor([side / width, side / height] * 2)
        found = model(
            pixel_values=prepare([picture], (side, side), mean, std, dtype),
            input_boxes=scaled[None].to(dtype),
            multimask_output=False,
        )
        return _full_size(found.pred_masks[0, :, 0].float(), picture, 0.0)

    return run


def _full_size(masks: Tensor, picture: Picture, inside: float) -> Tensor:
    if not len(masks):
        return torch.zeros(0, *size_of(picture))
    full = functional.interpolate(masks[None], size_of(picture), mode="bilinear")[0]
    return (full > inside).cpu()


_REFERENCES: dict[str, Callable[[Path, torch.device, torch.dtype], Reference]] = {
    "clipseg": _clipseg,
    "sam3": _sam3,
    "sam3_video": _sam3,
    "sam3_lite_text": _sam3,
    "segformer": _segformer,
}
_DETECTORS: dict[str, Callable[[Path, torch.device, torch.dtype], _FindBoxes]] = {
    "owlv2": _owlv2,
    "grounding-dino": _grounding_dino,
    "mm-grounding-dino": _grounding_dino,
}
_MASK_MODELS: dict[str, Callable[[Path, torch.device, torch.dtype], _CutOut]] = {
    "sam2": _sam2,
    "sam2_video": _sam2,
    "edgetam": _sam2,
    "edgetam_video": _sam2,
}
