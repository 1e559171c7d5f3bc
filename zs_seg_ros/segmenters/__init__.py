"""Which kind of checkpoint is which family. No family, and no torch, is imported before it is chosen."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.checkpoint import find_checkpoint

# `model_type` in the checkpoint's config.json -> module and class, imported when chosen.
FAMILIES = {
    "zs_seg_dense": ("zs_seg_ros.segmenters.dense", "DenseSegmenter"),
    "clipseg": ("zs_seg_ros.segmenters.clipseg", "ClipSegSegmenter"),
}


@dataclass(frozen=True)
class LoadOptions:
    """How to load a model.

    device: auto, cpu, cuda or cuda:N. precision: auto, fp32, fp16 or bf16. revision: of a Hugging Face id, '' for
    the newest on disk. compile: torch.compile the model, slower to start and faster afterwards.
    """

    device: str = "auto"
    precision: str = "auto"
    revision: str = ""
    compile: bool = False


def load_segmenter(model: str, options: LoadOptions = LoadOptions()) -> Segmenter[Any]:
    """Load a model by its built-in name, folder or Hugging Face id, without ever using the network.

    Raises ModelNotFoundError when it is not on disk, ModelError when its kind is unknown or its files are damaged,
    and DeviceError when the device is not there.
    """
    if model == "fake":
        from zs_seg_ros.segmenters.fake import FakeSegmenter

        return FakeSegmenter()
    folder = find_checkpoint(model, options.revision)
    kind = _model_type(model, folder)
    if kind not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise ModelError(
            f"{model} is a model of kind {kind!r}, which is not supported; the kinds known are: {known}"
        )
    module, name = FAMILIES[kind]
    family = getattr(importlib.import_module(module), name)
    segmenter: Segmenter[Any] = family(model, folder, options)
    return segmenter


def _model_type(model: str, folder: Path) -> str:
    path = folder / "config.json"
    try:
        return str(json.loads(path.read_text())["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"the checkpoint of {model} is damaged: {path} cannot be read as a model configuration "
            f"({type(error).__name__}: {error}); fetch it again"
        ) from error
