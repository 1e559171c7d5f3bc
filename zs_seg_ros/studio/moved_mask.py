# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A mask of an earlier image as a later image of the same camera shows it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.perception.kept_matching import instance_of, numbered
from zs_seg_ros.perception.propagation import Propagator
from zs_seg_ros.types import Frame, RgbImage, size_of

_LEAST_IOU = 0.6
"""Of the mask that is moved back with the mask that was given: with less, the flow has lost the object."""


def moved_mask(
    mask: NDArray[np.bool_], before: RgbImage, after: RgbImage
) -> NDArray[np.bool_] | None:
    """Return the mask (H, W) of `before` moved by optical flow to `after`; None where the object is not found again.

    Images of two sizes, and two that show too little in common, have nothing that a mask could be moved to.
    """
    if size_of(before) != size_of(after):
        return None
    moved = _moved(mask, before, after)
    back = None if moved is None else _moved(moved, after, before)
    if back is None or (mask & back).sum() < _LEAST_IOU * (mask | back).sum():
        return None
    return moved


def _moved(mask: NDArray[np.bool_], before: RgbImage, after: RgbImage) -> NDArray[np.bool_] | None:
    marked = instance_of(mask)
    if marked is None:
        return None
    first, second = (Frame("", image, place) for place, image in enumerate((before, after), 1))
    propagator = Propagator()
    propagator.update(first, numbered(size_of(before), {1: marked}))
    propagator.observe(second)
    carried = propagator.carried("flow")
    return None if carried is None else carried.segmentation.label == 1
