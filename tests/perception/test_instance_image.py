# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Instance images and masks of classes, as maps and filters read them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from zs_seg_ros.perception.instance_image import class_mask, instance_image
from zs_seg_ros.perception.masks import extract_objects
from zs_seg_ros.types import Box, DetectedObject, Segmentation

LABELS = st.sampled_from([np.uint8, np.uint16]).flatmap(
    lambda kind: arrays(kind, (7, 9), elements=st.sampled_from([0, 1, 2, 200]))
)


def rectangle(class_id: int, top: int, left: int, side: int, score: float = 0.9) -> DetectedObject:
    return DetectedObject(
        class_id, score, Box(left, top, side, side), np.ones((side, side), np.bool_)
    )


def upper(image: NDArray[np.int32]) -> NDArray[Any]:
    return image.view(np.uint32) >> 16


def lower(image: NDArray[np.int32]) -> NDArray[Any]:
    return image & 0xFFFF


@given(label=LABELS)
def test_the_upper_half_is_the_label_image_and_the_lower_numbers_its_components(
    label: NDArray[Any],
) -> None:
    confidence = np.where(label > 0, 200, 0).astype(np.uint8)
    objects = extract_objects(Segmentation(label, confidence), 1, 1000)
    image = instance_image(label, objects)
    assert image.dtype == np.int32
    assert (upper(image) == label).all()
    assert ((lower(image) > 0) == (label > 0)).all()
    for number, detected in enumerate(objects, start=1):
        assert (lower(image) == number).sum() == detected.area
        assert set(label[lower(image) == number]) == {detected.class_id}


def test_where_objects_of_a_class_overlap_the_more_confident_one_has_the_pixels() -> None:
    label = np.full((6, 6), 3, np.uint8)
    objects = (rectangle(3, 0, 0, 4, 0.9), rectangle(3, 2, 2, 4, 0.5))
    numbers = lower(instance_image(label, objects))
    assert (numbers[:4, :4] == 1).all()
    assert numbers[5, 5] == 2 and (numbers == 2).sum() == 12


def test_a_mask_has_no_pixels_where_the_label_image_shows_another_class() -> None:
    label = np.full((4, 4), 3, np.uint8)
    label[:, :2] = 5
    image = instance_image(label, (rectangle(3, 0, 0, 4),))
    assert (lower(image)[:, :2] == 0).all() and (lower(image)[:, 2:] == 1).all()
    assert (upper(image) == label).all()


def test_pixels_of_no_object_keep_their_class_with_the_instance_0() -> None:
    image = instance_image(np.full((2, 2), 7, np.uint8), ())
    assert (image == 7 << 16).all()


@pytest.mark.parametrize("class_id", [1, 254, 32767, 32768, 65534])
def test_every_class_id_fits_in_the_upper_half(class_id: int) -> None:
    label = np.full((3, 3), class_id, np.uint16)
    image = instance_image(label, (rectangle(class_id, 0, 0, 3),))
    assert (upper(image) == class_id).all() and (lower(image) == 1).all()


@given(label=LABELS, ids=st.sets(st.sampled_from([1, 2, 200, 254, 256, 65534])))
def test_a_class_mask_is_255_on_its_classes_and_0_elsewhere(
    label: NDArray[Any], ids: set[int]
) -> None:
    mask = class_mask(label, ids)
    assert mask.dtype == np.uint8 and mask.shape == label.shape
    assert (mask == np.where(np.isin(label, list(ids)), 255, 0)).all()
