"""transformers' own pipelines, as their documentation calls them: what `zs-seg bench` compares with.

Nothing here is on a frame's way. A reference takes one image and words and does everything for each frame, from
processor to masks of the image's size. Where transformers' own image processor wants torchvision (SAM 2, EdgeTAM,
SAM 3, TIPSv2), images are prepared as this package does it, which is faster; so are the overlapping boxes of
OmDet-Turbo sorted out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.checkpoint import find_checkpoint, model_type
from zs_seg_ros.segmenters.shared.device import choose_device, choose_precision
from zs_seg_ros.segmenters.shared.image_tensors import prepare
from zs_seg_ros.segmenters.shared.pretrained import quiet
from zs_seg_ros.types import RgbImage, size_of

Reference = Callable[[RgbImage, Sequence[str], float], Any]
"""An image, phrases and the least score, to masks or probabilities on the CPU."""
_FindBoxes = Callable[[RgbImage, Sequence[str], float], Tensor]
"""The same to boxes: (N, 4), left, top, right, bottom in pixels."""
_CutOut = Callable[[RgbImage, Tensor], Tensor]
"""An image and boxes to masks (N, H, W)."""
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
            return lambda image, prompts, threshold: cut_out(
                image, detect(image, prompts, threshold)
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
    def run(image: RgbImage, prompts: Sequence[str], _threshold: float) -> Any:
        images = [image] * len(prompts)
        inputs = processor(text=list(prompts), images=images, padding=True, return_tensors="pt")
        logits = model(**_to(inputs, device, dtype)).logits
        return logits.view(len(prompts), *logits.shape[-2:]).sigmoid().float().cpu()

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
    def run(image: RgbImage, prompts: Sequence[str], threshold: float) -> Any:
        words = tokenizer(list(prompts), padding="max_length", max_length=32, return_tensors="pt")
        pixels = prepare([image], (side, side), mean, std, dtype)
        found = model(pixel_values=pixels.expand(len(prompts), -1, -1, -1), **words.to(device))
        scores = found.pred_logits.sigmoid() * found.presence_logits.sigmoid()
        masks = found.pred_masks.sigmoid()[scores > threshold].float()
        return _full_size(masks, image, 0.5)

    return run


def _tipsv2(folder: Path, device: torch.device, dtype: torch.dtype) -> Reference:
    """The authors' recipe: each phrase in nine prompts, and a last attention that gives each patch its own value."""
    from transformers import Tipsv2Model
    from transformers.models.tipsv2.tokenization_tipsv2 import Tipsv2Tokenizer

    from zs_seg_ros.segmenters.tipsv2.segmenter import TEMPLATES

    model, tokenizer = (
        _load(Tipsv2Model, folder, device, dtype),
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
        seen = model.get_image_features(pixels).last_hidden_state[0, -patches * patches :]
        cosines = functional.normalize(seen, dim=-1) @ functional.normalize(text, dim=-1).T
        maps = cosines.T.view(1, len(prompts), patches, patches).float()
        return functional.interpolate(maps, size_of(image), mode="bilinear")[0].argmax(dim=0).cpu()

    return run


def _segformer(folder: Path, device: torch.device, dtype: torch.dtype) -> Reference:
    from transformers import SegformerForSemanticSegmentation
    from transformers.models.segformer.image_processing_pil_segformer import (
        SegformerImageProcessorPil,
    )

    processor = SegformerImageProcessorPil.from_pretrained(folder)
    model = _load(SegformerForSemanticSegmentation, folder, device, dtype)

    @torch.inference_mode()
    def run(image: RgbImage, _prompts: Sequence[str], _threshold: float) -> Any:
        inputs = processor(images=image, return_tensors="pt")
        found = model(**_to(inputs, device, dtype))
        return processor.post_process_semantic_segmentation(found, [size_of(image)])[0].cpu()

    return run


def _owlv2(folder: Path, device: torch.device, dtype: torch.dtype) -> _FindBoxes:
    from transformers import CLIPTokenizer, Owlv2ForObjectDetection, Owlv2Processor
    from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

    processor = Owlv2Processor(
        Owlv2ImageProcessorPil.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    )
    model = _load(Owlv2ForObjectDetection, folder, device, dtype)

    @torch.inference_mode()
    def run(image: RgbImage, prompts: Sequence[str], threshold: float) -> Tensor:
        inputs = processor(text=[list(prompts)], images=image, return_tensors="pt")
        found = model(**_to(inputs, device, dtype))
        [result] = processor.post_process_grounded_object_detection(
            found, threshold=threshold, target_sizes=[size_of(image)]
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
    def run(image: RgbImage, prompts: Sequence[str], threshold: float) -> Tensor:
        inputs = processor(images=image, text=[list(prompts)], return_tensors="pt")
        inputs = _to(inputs, device, dtype)
        found = model(**inputs)
        [result] = processor.post_process_grounded_object_detection(
            found,
            inputs["input_ids"],
            threshold=threshold,
            text_threshold=threshold,
            target_sizes=[size_of(image)],
        )
        boxes: Tensor = result["boxes"].float()
        return boxes

    return run


def _omdet_turbo(folder: Path, device: torch.device, dtype: torch.dtype) -> _FindBoxes:
    from transformers import CLIPTokenizer, OmDetTurboForObjectDetection
    from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil

    from zs_seg_ros.segmenters.boxes_then_masks.detr_images import to_corners
    from zs_seg_ros.segmenters.boxes_then_masks.omdet_turbo import without_overlaps

    # Its processor is these two, and wants torchvision for what comes after the model only.
    processor = DetrImageProcessorPil.from_pretrained(folder)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    how = {"padding": "max_length", "truncation": True, "max_length": 77, "return_tensors": "pt"}
    model = _load(OmDetTurboForObjectDetection, folder, device, dtype)

    @torch.inference_mode()
    def run(image: RgbImage, prompts: Sequence[str], threshold: float) -> Tensor:
        words = tokenizer(list(prompts), **how).to(device)
        task = tokenizer(f"Detect {', '.join(prompts)}.", **how).to(device)
        found = model(
            pixel_values=processor(image, return_tensors="pt")["pixel_values"].to(device, dtype),
            classes_input_ids=words["input_ids"],
            classes_attention_mask=words["attention_mask"],
            tasks_input_ids=task["input_ids"],
            tasks_attention_mask=task["attention_mask"],
            classes_structure=torch.tensor([len(prompts)]),
        )
        scores = found.decoder_class_logits[0].float().sigmoid()
        best, pair = scores.flatten().topk(len(scores))
        pair = pair[best > threshold]
        query, prompt = pair // scores.shape[1], pair % scores.shape[1]
        corners = to_corners(found.decoder_coord_logits[0].float(), size_of(image))[query]
        kept = []
        for one in prompt.unique():
            mine = (prompt == one).nonzero()[:, 0]
            kept.append(mine[without_overlaps(corners[mine], scores[query[mine], one], 0.5)])
        return torch.cat([corners[:0], *(corners[index] for index in kept)])

    return run


def _sam_hq(folder: Path, device: torch.device, dtype: torch.dtype) -> _CutOut:
    from transformers import SamHQModel, SamHQProcessor
    from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

    processor = SamHQProcessor(SamImageProcessorPil.from_pretrained(folder))
    model = _load(SamHQModel, folder, device, dtype)

    @torch.inference_mode()
    def run(image: RgbImage, boxes: Tensor) -> Tensor:
        if not len(boxes):
            return torch.zeros(0, *size_of(image))
        inputs = processor(images=[image], input_boxes=[boxes.tolist()], return_tensors="pt")
        sizes = inputs["original_sizes"], inputs["reshaped_input_sizes"]
        found = model(
            pixel_values=inputs["pixel_values"].to(device, dtype),
            input_boxes=inputs["input_boxes"].to(device, dtype),
            multimask_output=False,
        )
        masks: list[Tensor] = processor.post_process_masks(found.pred_masks.float().cpu(), *sizes)
        return masks[0][:, 0]

    return run


def _sam2(folder: Path, device: torch.device, dtype: torch.dtype) -> _CutOut:
    from transformers import EdgeTamModel, Sam2Model

    kind = EdgeTamModel if "edgetam" in model_type("", folder) else Sam2Model
    model = _load(kind, folder, device, dtype)
    mean, std = (torch.tensor(values, device=device) for values in _IMAGENET)
    side: int = model.config.prompt_encoder_config.image_size

    @torch.inference_mode()
    def run(image: RgbImage, boxes: Tensor) -> Tensor:
        if not len(boxes):
            return torch.zeros(0, *size_of(image))
        height, width = size_of(image)
        scaled = boxes * boxes.new_tensor([side / width, side / height] * 2)
        found = model(
            pixel_values=prepare([image], (side, side), mean, std, dtype),
            input_boxes=scaled[None].to(dtype),
            multimask_output=False,
        )
        return _full_size(found.pred_masks[0, :, 0].float(), image, 0.0)

    return run


def _full_size(masks: Tensor, image: RgbImage, inside: float) -> Tensor:
    if not len(masks):
        return torch.zeros(0, *size_of(image))
    full = functional.interpolate(masks[None], size_of(image), mode="bilinear")[0]
    return (full > inside).cpu()


_REFERENCES: dict[str, Callable[[Path, torch.device, torch.dtype], Reference]] = {
    "clipseg": _clipseg,
    "sam3": _sam3,
    "sam3_video": _sam3,
    "sam3_lite_text": _sam3,
    "segformer": _segformer,
    "tipsv2": _tipsv2,
}
_DETECTORS: dict[str, Callable[[Path, torch.device, torch.dtype], _FindBoxes]] = {
    "owlv2": _owlv2,
    "grounding-dino": _grounding_dino,
    "mm-grounding-dino": _grounding_dino,
    "omdet-turbo": _omdet_turbo,
}
_MASK_MODELS: dict[str, Callable[[Path, torch.device, torch.dtype], _CutOut]] = {
    "sam2": _sam2,
    "sam2_video": _sam2,
    "edgetam": _sam2,
    "edgetam_video": _sam2,
    "sam_hq": _sam_hq,
}
