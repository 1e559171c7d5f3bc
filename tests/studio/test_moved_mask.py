# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A mask that was drawn in one image is moved to a later one, or refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from small_bags import SHIPPED_BAG

from zs_seg_ros.studio.moved_mask import moved_mask
from zs_seg_ros.studio.stills import stills_of

HEIGHT, WIDTH = 120, 160


def table(left: int, top: int, seed: int = 0, size: int = 30) -> NDArray[np.uint8]:
    """A speckled square on a grained table."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(size=(HEIGHT, WIDTH)), (0, 0), 2)
    image = np.repeat((150 + 200 * grain)[..., None], 3, axis=2)
    speckles = cv2.GaussianBlur(np.random.default_rng(7).normal(size=(size, size)), (0, 0), 1.5)
    image[top : top + size, left : left + size] = 90 + 250 * speckles[..., None]
    return image.clip(0, 255).astype(np.uint8)


def square(left: int, top: int, size: int = 30) -> NDArray[np.bool_]:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[top : top + size, left : left + size] = True
    return mask


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize(("left", "top"), [(40, 40), (42, 41), (45, 37)])
def test_it_follows_the_object(left: int, top: int) -> None:
    moved = moved_mask(square(40, 40), table(40, 40), table(left, top))
    assert moved is not None and iou(moved, square(left, top)) > 0.8


def test_a_resting_object_keeps_its_mask_in_images_with_noise() -> None:
    before = table(40, 40)
    noise = np.random.default_rng(3).integers(-6, 7, before.shape)
    after = (before.astype(int) + noise).clip(0, 255).astype(np.uint8)
    moved = moved_mask(square(40, 40), before, after)
    assert moved is not None and iou(moved, square(40, 40)) > 0.97


def test_it_follows_a_moving_camera_of_the_recording() -> None:
    stills = stills_of([SHIPPED_BAG])
    [camera] = stills.lengths
    before, after = (stills.read(camera, index)[0].image for index in (30, 33))
    mask = np.zeros(before.shape[:2], np.bool_)
    mask[60:180, 80:240] = True
    moved = moved_mask(mask, before, after)
    assert moved is not None and 0.5 < moved.sum() / mask.sum() < 1.5


@pytest.mark.parametrize(
    "after",
    [
        table(60, 60),
        table(40, 40, seed=9)[:, ::-1],
        table(40, 40)[:100],
        np.zeros((HEIGHT, WIDTH, 3), np.uint8),
    ],
    ids=["it is further away", "another scene", "another size", "darkness"],
)
def test_where_it_cannot_be_found_again_there_is_no_mask(after: NDArray[np.uint8]) -> None:
    assert moved_mask(square(40, 40), table(40, 40), np.ascontiguousarray(after)) is None


def test_an_empty_mask_is_moved_nowhere() -> None:
    assert moved_mask(np.zeros((HEIGHT, WIDTH), np.bool_), table(40, 40), table(40, 40)) is None
