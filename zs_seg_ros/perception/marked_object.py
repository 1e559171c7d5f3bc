# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The object that an operator marks in an image by a pixel, a box or a mask."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.errors import SelectionError
from zs_seg_ros.perception.kept_matching import instance_of
from zs_seg_ros.perception.masks import full_mask
from zs_seg_ros.perception.overlay import as_bytes
from zs_seg_ros.perception.rotation import turned, upright
from zs_seg_ros.perception.target import SceneObjects, objects_in
from zs_seg_ros.segmenters.instance_labels import mask_iou
from zs_seg_ros.segmenters.mask_prompts import MarkedPoint, MaskPrompt, MaskPrompter
from zs_seg_ros.types import Box, DetectedObject, Frame, RgbImage, size_of
from zs_seg_ros.vocabulary.vocabulary import Exemplar

_LEAST_IOU = 0.3
"""The least overlap with a mask or a box that makes a detection the marked object."""


@dataclass(frozen=True, eq=False)
class Mark:
    """What is marked in an image. region: None: the mask alone. mask: (H, W) bool; None: the region alone."""

    region: Box | None = None
    mask: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.region is None and self.mask is None:
            raise SelectionError(
                "roi and mask are empty: mark the object by a pixel, a box or a mask"
            )


def marked_object(scene: SceneObjects, mark: Mark) -> DetectedObject:
    """Return the object that is marked in an image.

    It has the given mask, otherwise that of the detection at the mark, otherwise it fills the box. Its class and
    track_id are those of the detection that it overlaps; 0 without one. Raises SelectionError for marks outside of the
    image, a mask of another size, and a pixel without a detection.
    """
    region, size = mark.region, scene.size
    if region is not None:
        _check_inside(region, size)
    if mark.mask is not None:
        return _by_mask(scene, size, mark.mask, region)
    assert region is not None
    if _is_pixel(region):
        if objects := objects_in(scene.objects, region):
            return objects[0]
        raise SelectionError(
            f"no object is detected at the pixel ({region.left}, {region.top}): mark it by a box or a mask, or add its "
            "class to the vocabulary"
        )
    return _detection_in(scene, region) or _filling(region)


def has_detection(scene: SceneObjects, mark: Mark) -> bool:
    """Whether a mask is given, or an object is detected at the mark. Raises SelectionError for one outside."""
    if mark.mask is not None or mark.region is None:
        return True
    _check_inside(mark.region, scene.size)
    if _is_pixel(mark.region):
        return bool(objects_in(scene.objects, mark.region))
    return _detection_in(scene, mark.region) is not None


def mask_of_region(prompter: MaskPrompter, frame: Frame, region: Box) -> NDArray[np.bool_] | None:
    """Return the mask (H, W) that a mask model gives for a pixel or a box of an image; None for an empty one.

    region: in pixels of the image as it was received; the model gets the upright image. Raises what the model raises.
    """
    image, turns = upright(frame.image, frame.rotation), frame.rotation // 90
    box = turned(_filling(region), -turns % 4, size_of(frame.image)).box
    pixel = MarkedPoint(box.left + 0.5, box.top + 0.5)
    prompt = MaskPrompt(points=(pixel,)) if _is_pixel(region) else MaskPrompt(box=box)
    [detected] = prompter.masks_of_prompts(image, [prompt])
    if not detected.area:
        return None
    as_received = turned(detected, turns, size_of(image))
    return full_mask(as_received.mask, as_received.box, size_of(frame.image))


def _is_pixel(region: Box) -> bool:
    return (region.width, region.height) == (1, 1)


def _filling(region: Box) -> DetectedObject:
    """Return an object that fills a box."""
    return DetectedObject(0, 1.0, region, np.ones((region.height, region.width), np.bool_))


def _check_inside(region: Box, size: tuple[int, int]) -> None:
    height, width = size
    if region.left + region.width > width or region.top + region.height > height:
        raise SelectionError(
            f"roi reaches from ({region.left}, {region.top}) to "
            f"({region.left + region.width}, {region.top + region.height}), outside of the image of {width}x{height} "
            "pixels: give a part of the image that stamp names"
        )


def _by_mask(
    scene: SceneObjects, size: tuple[int, int], mask: NDArray[np.bool_], region: Box | None
) -> DetectedObject:
    height, width = size
    if mask.shape != size:
        raise SelectionError(
            f"mask has {mask.shape[1]}x{mask.shape[0]} pixels and the image {width}x{height}: give a mask of the "
            "image's size"
        )
    if region is not None:
        mask = mask & full_mask(_filling(region).mask, region, size)
    marked = instance_of(mask)
    if marked is None:
        raise SelectionError(
            "mask marks no pixel of roi: give a mask that is not zero on the object"
        )
    same = max(scene.objects, key=lambda o: mask_iou(o, marked), default=None)
    if same is None or mask_iou(same, marked) < _LEAST_IOU:
        return marked
    return replace(same, box=marked.box, mask=marked.mask, surface=None)


def _detection_in(scene: SceneObjects, region: Box) -> DetectedObject | None:
    """Return the detection with most pixels in a box, if it fits: one that fills the box or is of its size."""
    for detected in objects_in(scene.objects, region)[:1]:
        whole, around = _filling(region), _filling(detected.box)
        if mask_iou(detected, whole) >= _LEAST_IOU or mask_iou(around, whole) >= _LEAST_IOU:
            return detected
    return None


def exemplar_of(frame: Frame, marked: DetectedObject) -> Exemplar:
    """Return the whole image with the object's mask, both upright as the model gets images."""
    mask = full_mask(marked.mask, marked.box, size_of(frame.image))
    image: RgbImage = upright(frame.image, frame.rotation)
    of_upright = np.rot90(mask, -frame.rotation // 90)
    return Exemplar(as_bytes(image), np.ascontiguousarray(of_upright))
