# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A camera on its side: the model sees the image upright, and its results come back as the image was received."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs_seg_ros.perception.rotation import ROTATIONS, as_received, upright
from zs_seg_ros.types import Box, DetectedObject, Segmentation


def test_90_degrees_are_clockwise() -> None:
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 0] = 255  # the upper left corner
    turned = upright(image, 90)
    assert turned.shape == (3, 2, 3)
    assert turned[0, -1].tolist() == [
        255,
        255,
        255,
    ]  # is the upper right one after a quarter clockwise


@pytest.mark.parametrize("rotation", ROTATIONS)
@given(height=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
def test_results_fit_the_image_as_received(
    rotation: int, height: int, width: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, (height, width), np.uint8)
    confidence = rng.integers(1, 256, (height, width), np.uint8) * (label > 0)
    # The result of a model that labels each pixel of the upright image by its value.
    label_upright = upright(np.repeat(label[..., None], 3, axis=2), rotation)[..., 0]
    instances = []
    for class_id in set(label_upright.ravel().tolist()) - {0}:
        y, x = np.nonzero(label_upright == class_id)
        box = Box(int(x.min()), int(y.min()), int(np.ptp(x)) + 1, int(np.ptp(y)) + 1)
        mask = (
            label_upright[box.top : box.top + box.height, box.left : box.left + box.width]
            == class_id
        )
        instances.append(DetectedObject(class_id, 0.5, box, mask))
    confidence_upright = upright(np.repeat(confidence[..., None], 3, axis=2), rotation)[..., 0]
    results = as_received(
        Segmentation(label_upright, confidence_upright, tuple(instances)), rotation
    )
    assert np.array_equal(results.label, label) and np.array_equal(results.confidence, confidence)
    assert results.instances is not None
    for instance in results.instances:
        pasted = np.zeros((height, width), bool)
        box = instance.box
        pasted[box.top : box.top + box.height, box.left : box.left + box.width] = instance.mask
        assert np.array_equal(pasted, label == instance.class_id)


def test_without_instances_there_are_none_afterwards() -> None:
    assert as_received(Segmentation.empty((2, 3)), 90).instances is None
    assert as_received(Segmentation.empty((2, 3)), 90).label.shape == (3, 2)
