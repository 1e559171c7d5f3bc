# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Detectors as transformers' documentation calls them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from zs_seg_ros.testing.reference_steps import Detect, load_model, to_device
from zs_seg_ros.types import RgbImage, size_of


def _owlv2(folder: Path, device: torch.device, dtype: torch.dtype) -> Detect:
    from transformers import CLIPTokenizer, Owlv2ForObjectDetection, Owlv2Processor
    from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

    processor = Owlv2Processor(
        Owlv2ImageProcessorPil.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    )
    model = load_model(Owlv2ForObjectDetection, folder, device, dtype)

    @torch.inference_mode()
    def run(image: RgbImage, prompts: Sequence[str], threshold: float) -> Tensor:
        inputs = processor(text=[list(prompts)], images=image, return_tensors="pt")
        output = model(**to_device(inputs, device, dtype))
        [result] = processor.post_process_grounded_object_detection(
            output, threshold=threshold, target_sizes=[size_of(image)]
        )
        boxes: Tensor = result["boxes"].float()
        return boxes

    return run


def _grounding_dino(folder: Path, device: torch.device, dtype: torch.dtype) -> Detect:
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
    model = load_model(AutoModelForZeroShotObjectDetection, folder, device, dtype)

    @torch.inference_mode()
    def run(image: RgbImage, prompts: Sequence[str], threshold: float) -> Tensor:
        inputs = processor(images=image, text=[list(prompts)], return_tensors="pt")
        inputs = to_device(inputs, device, dtype)
        output = model(**inputs)
        [result] = processor.post_process_grounded_object_detection(
            output,
            inputs["input_ids"],
            threshold=threshold,
            text_threshold=threshold,
            target_sizes=[size_of(image)],
        )
        boxes: Tensor = result["boxes"].float()
        return boxes

    return run


def _omdet_turbo(folder: Path, device: torch.device, dtype: torch.dtype) -> Detect:
    from transformers import CLIPTokenizer, OmDetTurboForObjectDetection
    from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil

    from zs_seg_ros.segmenters.boxes_then_masks.detr_images import to_corners
    from zs_seg_ros.segmenters.boxes_then_masks.omdet_turbo import without_overlaps

    # Its processor combines these two, and needs torchvision for post-processing only.
    processor = DetrImageProcessorPil.from_pretrained(folder)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    padding = {
        "padding": "max_length",
        "truncation": True,
        "max_length": 77,
        "return_tensors": "pt",
    }
    model = load_model(OmDetTurboForObjectDetection, folder, device, dtype)

    @torch.inference_mode()
    def run(image: RgbImage, prompts: Sequence[str], threshold: float) -> Tensor:
        words = tokenizer(list(prompts), **padding).to(device)
        task = tokenizer(f"Detect {', '.join(prompts)}.", **padding).to(device)
        output = model(
            pixel_values=processor(image, return_tensors="pt")["pixel_values"].to(device, dtype),
            classes_input_ids=words["input_ids"],
            classes_attention_mask=words["attention_mask"],
            tasks_input_ids=task["input_ids"],
            tasks_attention_mask=task["attention_mask"],
            classes_structure=torch.tensor([len(prompts)]),
        )
        scores = output.decoder_class_logits[0].float().sigmoid()
        best, pair = scores.flatten().topk(len(scores))
        pair = pair[best > threshold]
        query, prompt = pair // scores.shape[1], pair % scores.shape[1]
        corners = to_corners(output.decoder_coord_logits[0].float(), size_of(image))[query]
        kept = []
        for column in prompt.unique():
            rows = (prompt == column).nonzero()[:, 0]
            kept.append(rows[without_overlaps(corners[rows], scores[query[rows], column], 0.5)])
        return torch.cat([corners[:0], *(corners[index] for index in kept)])

    return run


def _florence2(folder: Path, device: torch.device, dtype: torch.dtype) -> Detect:
    from transformers import BartTokenizer, Florence2ForConditionalGeneration, Florence2Processor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    processor = Florence2Processor(
        CLIPImageProcessorPil.from_pretrained(folder),
        BartTokenizer.from_pretrained(folder),
        post_processor_config={"description_with_bboxes_or_polygons": {}},
    )
    model = load_model(Florence2ForConditionalGeneration, folder, device, dtype)
    task = "<OPEN_VOCABULARY_DETECTION>"

    @torch.inference_mode()
    def run(image: RgbImage, prompts: Sequence[str], _threshold: float) -> Tensor:
        height, width = size_of(image)
        boxes = []
        for prompt in prompts:
            inputs = processor(images=image, text=task + prompt, return_tensors="pt")
            generated = model.generate(
                **to_device(inputs, device, dtype), num_beams=1, do_sample=False, max_new_tokens=256
            )
            [text] = processor.batch_decode(generated, skip_special_tokens=False)
            answer = processor.post_process_generation(text, task=task, image_size=(width, height))
            boxes += answer[task]["bboxes"]
        return torch.tensor(boxes, dtype=torch.float32, device=device).view(-1, 4)

    return run


DETECTORS: dict[str, Callable[[Path, torch.device, torch.dtype], Detect]] = {
    "owlv2": _owlv2,
    "grounding-dino": _grounding_dino,
    "mm-grounding-dino": _grounding_dino,
    "omdet-turbo": _omdet_turbo,
    "florence2": _florence2,
}
