"""Which kind of checkpoint is which family. No family, and no torch, is imported before it is chosen."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.load_options import DEFAULT_OPTIONS, LoadOptions
from zs_seg_ros.segmenters.shared.checkpoint import find_checkpoint, model_type

if TYPE_CHECKING:
    from zs_seg_ros.segmenters.shared.torch_segmenter import TorchSegmenter

# `model_type` in the checkpoint's config.json -> module and class, imported when chosen.
# Whole segmenters:
FAMILIES = {
    "zs_seg_dense": ("zs_seg_ros.segmenters.dense.segmenter", "DenseSegmenter"),
    "clipseg": ("zs_seg_ros.segmenters.clipseg.segmenter", "ClipSegSegmenter"),
    "sam3": ("zs_seg_ros.segmenters.sam3.segmenter", "Sam3Segmenter"),
    "sam3_video": ("zs_seg_ros.segmenters.sam3.segmenter", "Sam3Segmenter"),  # facebook/sam3
    "sam3_lite_text": ("zs_seg_ros.segmenters.sam3.segmenter", "Sam3LiteTextSegmenter"),
    "segformer": ("zs_seg_ros.segmenters.segformer.segmenter", "SegFormerSegmenter"),
    "tipsv2": ("zs_seg_ros.segmenters.tipsv2.segmenter", "Tipsv2Segmenter"),
}
# The two halves of a pair, `DETECTOR + MASK_MODEL`:
DETECTORS = {
    "owlv2": ("zs_seg_ros.segmenters.boxes_then_masks.owlv2", "Owlv2Detector"),
    "grounding-dino": (
        "zs_seg_ros.segmenters.boxes_then_masks.grounding_dino",
        "GroundingDinoDetector",
    ),
    "mm-grounding-dino": (
        "zs_seg_ros.segmenters.boxes_then_masks.grounding_dino",
        "GroundingDinoDetector",
    ),
    "omdet-turbo": ("zs_seg_ros.segmenters.boxes_then_masks.omdet_turbo", "OmDetTurboDetector"),
}
BOX_SEGMENTERS = {
    "sam2": ("zs_seg_ros.segmenters.boxes_then_masks.sam2", "Sam2BoxSegmenter"),
    "sam2_video": (
        "zs_seg_ros.segmenters.boxes_then_masks.sam2",
        "Sam2BoxSegmenter",
    ),  # facebook/sam2.1-hiera-tiny
    "edgetam": ("zs_seg_ros.segmenters.boxes_then_masks.sam2", "EdgeTamBoxSegmenter"),
    "edgetam_video": ("zs_seg_ros.segmenters.boxes_then_masks.sam2", "EdgeTamBoxSegmenter"),
    "sam_hq": ("zs_seg_ros.segmenters.boxes_then_masks.sam_hq", "SamHqBoxSegmenter"),
}
# Examples for messages:
_DETECTOR, _MASK_MODEL = "google/owlv2-base-patch16-ensemble", "facebook/sam2.1-hiera-tiny"


def load_segmenter(model: str, options: LoadOptions = DEFAULT_OPTIONS) -> Segmenter[Any]:
    """Load a model without ever using the network.

    model: a built-in name, a folder or a Hugging Face id; or a detector and a mask model, `DETECTOR + MASK_MODEL`, each
    of them a folder or a Hugging Face id.

    Raises ModelNotFoundError when it is not on disk, ModelError when its kind is unknown, its files are damaged or two
    models make no pair, and DeviceError when the device is not there.
    """
    if model == "fake":
        from zs_seg_ros.segmenters.fake import FakeSegmenter

        return FakeSegmenter()
    is_pair = "+" in model and not os.path.isdir(os.path.expanduser(model))
    segmenter = _load_pair(model, options) if is_pair else _load_whole(model, options)
    if (
        segmenter.device == "cpu" and not options.compile
    ):  # what is compiled is for all cores at once
        segmenter.use_per_image_threads()
    return segmenter


def _load_whole(model: str, options: LoadOptions) -> TorchSegmenter[Any]:
    folder = find_checkpoint(model, options.revision)
    kind = model_type(model, folder)
    if kind in DETECTORS:
        raise ModelError(
            f"{model} finds boxes only and needs a mask model behind it; write {model} + {_MASK_MODEL}"
        )
    if kind in BOX_SEGMENTERS:
        raise ModelError(
            f"{model} turns boxes into masks and needs a detector before it; write {_DETECTOR} + {model}"
        )
    if kind not in FAMILIES:
        raise _unknown(model, kind)
    segmenter: TorchSegmenter[Any] = _load(FAMILIES[kind], model, folder, options)
    return segmenter


def _load_pair(model: str, options: LoadOptions) -> TorchSegmenter[Any]:
    separator = " + " if " + " in model else "+"  # a folder's name may hold a + without spaces
    names = [name.strip() for name in model.split(separator)]
    if len(names) != 2 or not all(names):
        raise ModelError(
            f"{model!r} is not one detector and one mask model; write two names with one + between them, for "
            f"example {_DETECTOR} + {_MASK_MODEL}"
        )
    folders = [
        find_checkpoint(name, revision)
        for name, revision in zip(names, _revisions(options.revision), strict=True)
    ]
    first, second = (model_type(name, folder) for name, folder in zip(names, folders, strict=True))
    _check_pair(names, (first, second))
    from zs_seg_ros.segmenters.boxes_then_masks.segmenter import BoxesThenMasks

    detector = _load(DETECTORS[first], names[0], folders[0], options)
    box_segmenter = _load(BOX_SEGMENTERS[second], names[1], folders[1], options)
    return BoxesThenMasks(" + ".join(names), detector, box_segmenter)


def _revisions(revision: str) -> list[str]:
    """Of the detector and of the mask model."""
    revisions = [part.strip() for part in revision.split("+")] if revision else ["", ""]
    if len(revisions) != 2:
        raise ModelError(
            f"the revision {revision!r} does not say which of two models it is of; write two with one + between "
            f"them, for example {revision.split('+')[0].strip() or 'main'} + main"
        )
    return revisions


def _check_pair(names: list[str], kinds: tuple[str, str]) -> None:
    """Raise ModelError unless `kinds` are those of a detector and of a mask model, in this order."""
    for name, kind in zip(names, kinds, strict=True):
        if kind in FAMILIES:
            raise ModelError(f"{name} finds masks by itself and is no part of a pair; write {name}")
        if kind not in DETECTORS and kind not in BOX_SEGMENTERS:
            raise _unknown(name, kind)
    if kinds[0] in BOX_SEGMENTERS and kinds[1] in DETECTORS:
        raise ModelError(f"the detector comes first; write {names[1]} + {names[0]}")
    if kinds[0] in BOX_SEGMENTERS:
        raise ModelError(
            f"{names[0]} and {names[1]} are two mask models; write {_DETECTOR} + {names[1]}"
        )
    if kinds[1] in DETECTORS:
        raise ModelError(
            f"{names[0]} and {names[1]} are two detectors; write {names[0]} + {_MASK_MODEL}"
        )


def _load(entry: tuple[str, str], model: str, folder: Path, options: LoadOptions) -> Any:
    module, name = entry
    return getattr(importlib.import_module(module), name)(model, folder, options)


def _unknown(model: str, kind: str) -> ModelError:
    return ModelError(
        f"{model} is a model of kind {kind!r}, which is not supported; the kinds known are: "
        f"{', '.join(sorted(FAMILIES))}; and in pairs, {' or '.join(sorted(DETECTORS))} + "
        f"{' or '.join(sorted(BOX_SEGMENTERS))}"
    )
