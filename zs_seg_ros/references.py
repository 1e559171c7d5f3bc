"""transformers' own pipelines, as their documentation calls them: what benchmarks and tests compare with.

Nothing here is on a frame's way. Each reference takes one picture and words and does everything from processor to
post-processing for each frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters import LoadOptions, model_type
from zs_seg_ros.segmenters.checkpoint import find_checkpoint
from zs_seg_ros.segmenters.device import choose_device, choose_precision
from zs_seg_ros.segmenters.pretrained import quiet
from zs_seg_ros.types import Picture

Reference = Callable[[Picture, Sequence[str]], Any]
"""A picture and phrases to whatever the pipeline ends with."""


def load_reference(model: str, options: LoadOptions) -> Reference:
    """The reference of a model on disk. Raises ModelError when transformers has none for its kind."""
    folder = find_checkpoint(model, options.revision)
    kind = model_type(model, folder)
    if kind not in _REFERENCES:
        raise ModelError(f"transformers has no pipeline for models of kind {kind!r}")
    device = choose_device(options.device)
    with quiet():
        return _REFERENCES[kind](folder, device, choose_precision(options, device))


def _clipseg(folder: Path, device: torch.device, dtype: torch.dtype) -> Reference:
    from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor, CLIPTokenizer
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    processor = CLIPSegProcessor(
        ViTImageProcessorPil.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)
    )
    model = CLIPSegForImageSegmentation.from_pretrained(folder, use_safetensors=True, dtype=dtype)
    model = model.to(device).eval()

    @torch.inference_mode()
    def run(picture: Picture, phrases: Sequence[str]) -> Any:
        images = [picture] * len(phrases)
        inputs = processor(text=list(phrases), images=images, padding=True, return_tensors="pt")
        inputs = inputs.to(device)
        inputs["pixel_values"] = inputs["pixel_values"].to(dtype)
        return model(**inputs).logits.sigmoid().float().cpu()

    return run


_REFERENCES: dict[str, Callable[[Path, torch.device, torch.dtype], Reference]] = {
    "clipseg": _clipseg,
}
