# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The table of model families: the built-in ones, and those that other packages offer as entry points.

A family is chosen by the `model_type` of the checkpoint's config.json. No family, and no torch, is imported before it
is chosen.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from zs_seg_ros.errors import ModelError
from zs_seg_ros.shown import quoted, shown

Group = Literal["zs_seg_ros.families", "zs_seg_ros.detectors", "zs_seg_ros.box_segmenters"]
"""A role of a model: a whole segmenter, or one of the two halves of a pair, `DETECTOR + MASK_MODEL`."""

_ROOM = "zs_seg_ros.segmenters"

FAMILIES = {
    "zs_seg_dense": f"{_ROOM}.dense.segmenter:DenseSegmenter",
    "clipseg": f"{_ROOM}.clipseg.segmenter:ClipSegSegmenter",
    "sam3": f"{_ROOM}.sam3.segmenter:Sam3Segmenter",
    "sam3_video": f"{_ROOM}.sam3.tracker:Sam3VideoSegmenter",  # facebook/sam3
    "sam3_lite_text": f"{_ROOM}.sam3.segmenter:Sam3LiteTextSegmenter",
    "segformer": f"{_ROOM}.segformer.segmenter:SegFormerSegmenter",
    "eomt": f"{_ROOM}.eomt.segmenter:EomtSegmenter",
    "tipsv2": f"{_ROOM}.tipsv2.segmenter:Tipsv2Segmenter",
}
"""Whole segmenters that are built in: `model_type` -> `module:Class`."""

DETECTORS = {
    "owlv2": f"{_ROOM}.boxes_then_masks.owlv2:Owlv2Detector",
    "grounding-dino": f"{_ROOM}.boxes_then_masks.grounding_dino:GroundingDinoDetector",
    "mm-grounding-dino": f"{_ROOM}.boxes_then_masks.grounding_dino:GroundingDinoDetector",
    "omdet-turbo": f"{_ROOM}.boxes_then_masks.omdet_turbo:OmDetTurboDetector",
    "florence2": f"{_ROOM}.boxes_then_masks.florence2:Florence2Detector",
}
"""Built-in detectors of pairs."""

BOX_SEGMENTERS = {
    "sam2": f"{_ROOM}.boxes_then_masks.sam2:Sam2BoxSegmenter",
    "sam2_video": f"{_ROOM}.boxes_then_masks.sam2:Sam2BoxSegmenter",  # facebook/sam2.1-hiera-tiny
    "edgetam": f"{_ROOM}.boxes_then_masks.sam2:EdgeTamBoxSegmenter",
    "edgetam_video": f"{_ROOM}.boxes_then_masks.sam2:EdgeTamBoxSegmenter",
    "sam_hq": f"{_ROOM}.boxes_then_masks.sam_hq:SamHqBoxSegmenter",
}
"""Built-in mask models of pairs."""

_BUILT_IN: dict[Group, dict[str, str]] = {
    "zs_seg_ros.families": FAMILIES,
    "zs_seg_ros.detectors": DETECTORS,
    "zs_seg_ros.box_segmenters": BOX_SEGMENTERS,
}


def find_family(model_type: str) -> EntryPoint | None:
    """Find the family of a `model_type`; None where there is none. Its `group` is a `Group`.

    Raises ModelError when more than one package offers this `model_type`, in whatever groups.
    """
    offered = [family for family in _all_families() if family.name == model_type]
    if len(offered) > 1:
        offers = " and ".join(f"{_package(family)} (as {family.value})" for family in offered)
        raise ModelError(
            f"the model type {quoted(model_type)} is offered by {offers}, and only one can have it; "
            "uninstall the package that is not meant"
        )
    return offered[0] if offered else None


def load_class(family: EntryPoint) -> Any:
    """Import a family's class. Raises ModelError, which names the package, when another package's fails to import."""
    if family.dist is None:
        return family.load()
    try:
        return family.load()
    except Exception as error:  # another package's module may raise anything
        reason = ": ".join([type(error).__name__, *shown(error, 300).splitlines()[:1]])
        raise ModelError(
            f"the package {_package(family)} offers the model type {quoted(family.name)}, but {family.value} cannot be "
            f"imported ({reason}); repair or uninstall that package"
        ) from error


def model_types(group: Group) -> list[str]:
    """List every `model_type` of a group, built in or of another package, in alphabetical order."""
    return sorted({family.name for family in _all_families() if family.group == group})


def _all_families() -> list[EntryPoint]:
    families: list[EntryPoint] = []
    for group, table in _BUILT_IN.items():
        families += [EntryPoint(name, value, group) for name, value in table.items()]
        families += entry_points(group=group)
    return families


def _package(family: EntryPoint) -> str:
    return "zs_seg_ros itself" if family.dist is None else f"{family.dist.name}"
