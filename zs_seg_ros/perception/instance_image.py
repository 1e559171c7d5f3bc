# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Label images that other packages read: instance images and masks of chosen classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.types import DetectedObject, Label

MOST_INSTANCES = 2**16 - 1
"""The largest number of an instance in an instance image."""


def instance_image(label: Label, objects: Sequence[DetectedObject]) -> NDArray[np.int32]:
    """Return (H, W) int32: the class id in the upper 16 bits, the instance in the lower ones; 0 is background.

    label: (H, W), as in `Segmentation`, of the size of the image that the masks of `objects` belong to. The instance of
    a pixel is the place, from 1 on, in `objects` of the most confident object of the pixel's class whose mask has it,
    and 0 where none has it: the upper half always equals the label image. objects: the most confident ones first.
    Panoptic images of this layout are read by Hydra and Khronos (Schmid et al., "Khronos: A Unified Approach for
    Spatio-Temporal Metric-Semantic SLAM in Dynamic Environments", RSS 2024). Ids from 32768 on make negative numbers;
    the bits are the same.
    """
    instance = np.zeros(label.shape, np.uint16)
    most = min(len(objects), MOST_INSTANCES)
    for number in range(most, 0, -1):  # a more confident object overwrites the others
        detected = objects[number - 1]
        box = detected.box
        region = (slice(box.top, box.top + box.height), slice(box.left, box.left + box.width))
        mine = detected.mask & (label[region] == detected.class_id)
        np.copyto(instance[region], number, where=mine)
    halves = np.asarray(cv2.merge((instance, label.astype(np.uint16))))
    return halves.view("<i4")[..., 0]


def class_mask(label: Label, ids: Iterable[int]) -> NDArray[np.uint8]:
    """Return (H, W) uint8: 255 where the label image has one of the class ids, 0 elsewhere."""
    table = np.zeros(256 if label.dtype == np.uint8 else 65536, np.uint8)
    table[[i for i in ids if i < table.size]] = 255
    if label.dtype == np.uint8:
        return np.asarray(cv2.LUT(label, table), np.uint8)
    return table.take(label)
