# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Loading of models: a name, or a pair of names, to the segmenter of the family that it belongs to."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from zs_seg_ros.errors import ModelError, ZeroShotSegmentationError
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.families import find_family, load_class, model_types
from zs_seg_ros.segmenters.load_options import DEFAULT_OPTIONS, LoadOptions
from zs_seg_ros.segmenters.shared.checkpoint import find_checkpoint, model_type
from zs_seg_ros.shown import described, quoted, shown

# Examples for messages:
_DETECTOR, _MASK_MODEL = "google/owlv2-base-patch16-ensemble", "facebook/sam2.1-hiera-tiny"


def load_segmenter(model: str, options: LoadOptions = DEFAULT_OPTIONS) -> Segmenter[Any]:
    """Load a model without ever using the network.

    model: a built-in name, a folder or a Hugging Face id; or a detector and a mask model, `DETECTOR + MASK_MODEL`, each
    of them a folder or a Hugging Face id.

    Raises ModelNotFoundError when it is not on disk, ModelError when its kind is unknown, its files are damaged or two
    models make no pair, and DeviceError when the device is not available.
    """
    if model == "fake":
        from zs_seg_ros.segmenters.fake import FakeSegmenter

        _check_takes_input_size(FakeSegmenter, model, options)
        return FakeSegmenter()
    segmenter = _load_pair(model, options) if _is_pair(model) else _load_whole(model, options)
    # Compiled code and ONNX Runtime use all cores at once.
    if segmenter.device == "cpu" and not options.compile and segmenter.engine in ("torch", ""):
        segmenter.use_per_image_threads()
    return segmenter


def _load_whole(model: str, options: LoadOptions) -> Segmenter[Any]:
    if options.mask_inference_size:
        raise ModelError(
            f"{model} is one model, and mask_inference_size is the size of the mask model of a pair; set it to 0, and "
            "give the size as inference_size"
        )
    folder = find_checkpoint(model, options.revision)
    family = family_of(model, folder)
    if family.group == "zs_seg_ros.detectors":
        raise ModelError(
            f"{model} finds boxes only and needs a mask model behind it; write {model} + {_MASK_MODEL}"
        )
    if family.group == "zs_seg_ros.box_segmenters":
        raise ModelError(
            f"{model} turns boxes into masks and needs a detector before it; write {_DETECTOR} + {model}"
        )
    segmenter: Segmenter[Any] = _load(family, Segmenter, model, folder, options)
    return segmenter


def parts_of(model: str, revision: str = "") -> list[tuple[str, str]]:
    """Return the name and the revision of a model, or those of both of a pair.

    Raises ModelError for more than two names, or a revision that does not say which of two it is of.
    """
    if not _is_pair(model):
        return [(model, revision)]
    return list(zip(_names_of_pair(model), _revisions(revision), strict=True))


def _is_pair(model: str) -> bool:
    return "+" in model and not os.path.isdir(os.path.expanduser(model))


def _names_of_pair(model: str) -> list[str]:
    separator = " + " if " + " in model else "+"  # a folder's name may hold a + without spaces
    names = [name.strip() for name in model.split(separator)]
    if len(names) != 2 or not all(names):
        raise ModelError(
            f"{quoted(model)} is not one detector and one mask model; write two names with one + between them, for "
            f"example {_DETECTOR} + {_MASK_MODEL}"
        )
    return names


def _load_pair(model: str, options: LoadOptions) -> Segmenter[Any]:
    names = _names_of_pair(model)
    folders = [
        find_checkpoint(name, revision)
        for name, revision in zip(names, _revisions(options.revision), strict=True)
    ]
    first, second = (family_of(name, path) for name, path in zip(names, folders, strict=True))
    _check_pair(names, first.group, second.group)
    from zs_seg_ros.segmenters.boxes_then_masks.boxes import BoxSegmenter, Detector
    from zs_seg_ros.segmenters.boxes_then_masks.segmenter import BoxesThenMasks

    detector: Detector[Any] = _load(first, Detector, names[0], folders[0], options)
    of_masks = replace(options, inference_size=options.mask_inference_size)
    box_segmenter: BoxSegmenter = _load(second, BoxSegmenter, names[1], folders[1], of_masks)
    return BoxesThenMasks(" + ".join(names), detector, box_segmenter)


def _revisions(revision: str) -> list[str]:
    """Split the revision of a pair into those of the detector and of the mask model."""
    revisions = [part.strip() for part in revision.split("+")] if revision else ["", ""]
    if len(revisions) != 2:
        raise ModelError(
            f"the revision {quoted(revision)} does not say which of two models it is of; write two with one + between "
            f"them, for example {revision.split('+')[0].strip() or 'main'} + main"
        )
    return revisions


def _check_pair(names: list[str], first: str, second: str) -> None:
    """Raise ModelError unless the groups of two models are those of a detector and a mask model, in this order."""
    for name, group in zip(names, (first, second), strict=True):
        if group == "zs_seg_ros.families":
            raise ModelError(f"{name} finds masks by itself and is no part of a pair; write {name}")
    if first == second == "zs_seg_ros.box_segmenters":
        raise ModelError(
            f"{names[0]} and {names[1]} are two mask models; write {_DETECTOR} + {names[1]}"
        )
    if first == second:
        raise ModelError(
            f"{names[0]} and {names[1]} are two detectors; write {names[0]} + {_MASK_MODEL}"
        )
    if first == "zs_seg_ros.box_segmenters":
        raise ModelError(f"the detector comes first; write {names[1]} + {names[0]}")


def family_of(model: str, folder: Path) -> EntryPoint:
    """Find the family of the checkpoint in `folder`. Raises ModelError when there is none, or more than one."""
    kind = model_type(model, folder)
    family = find_family(kind)
    if family is None:
        raise ModelError(
            f"{model} is a model of kind {quoted(kind)}, which is not supported; the kinds known are: "
            f"{', '.join(model_types('zs_seg_ros.families'))}; and in pairs, "
            f"{' or '.join(model_types('zs_seg_ros.detectors'))} + "
            f"{' or '.join(model_types('zs_seg_ros.box_segmenters'))}"
        )
    return family


def _load(
    family: EntryPoint, interface: type[Any], model: str, folder: Path, options: LoadOptions
) -> Any:
    """Load one model.

    Raises ModelError when the family's class does not implement `interface`, cannot load the checkpoint, or segments at
    its own size only and `options` have another one.
    """
    kind = load_class(family)
    _check_takes_input_size(kind, model, options)
    try:
        loaded = _construct(kind, model, folder, options, of_pair=interface is not Segmenter)
    except ZeroShotSegmentationError:
        raise
    except Exception as error:  # a network of a damaged configuration may raise anything
        raise ModelError(
            f"the checkpoint of {shown(model, 300)} in {shown(folder, 300)} cannot be loaded ({described(error)}); "
            "fetch it again"
        ) from error
    if not isinstance(loaded, interface):
        raise ModelError(
            f"{model} cannot be used: {family.value}, the class of its model type {quoted(family.name)}, does not "
            f"implement {interface.__name__} of zs_seg_ros; repair the package that it belongs to"
        )
    return loaded


def _construct(kind: Any, model: str, folder: Path, options: LoadOptions, of_pair: bool) -> Any:
    """Construct the class of a family, with the engine that the options name."""
    without_torch = (
        "torch" not in sys.modules
    )  # then the class, which is imported, has no parts to export
    if without_torch and options.engine in ("auto", "torch") and options.precision != "int8":
        return kind(model, folder, options)
    from zs_seg_ros.segmenters.engines.choice import construct

    return construct(kind, model, folder, options, of_pair)


def _check_takes_input_size(kind: Any, model: str, options: LoadOptions) -> None:
    if options.inference_size and not getattr(kind, "takes_input_size", False):
        raise ModelError(
            f"{model} segments images at its own size only and cannot do it at {options.inference_size} pixels; "
            "give 0"
        )
