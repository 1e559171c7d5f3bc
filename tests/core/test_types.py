# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Frames and segmentations check the shapes of their arrays."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from zs_seg_ros import Frame, ImageError, Segmentation

REFUSED_IMAGES = {
    "grey": np.zeros((4, 6), np.uint8),
    "four channels": np.zeros((4, 6, 4), np.uint8),
    "no rows": np.zeros((0, 6, 3), np.uint8),
    "no columns": np.zeros((4, 0, 3), np.uint8),
    "floats": np.zeros((4, 6, 3), np.float32),
    "signed": np.zeros((4, 6, 3), np.int16),
    "too wide": np.broadcast_to(np.uint8(0), (1, 16385, 3)),
}


@pytest.mark.parametrize("image", REFUSED_IMAGES.values(), ids=REFUSED_IMAGES.keys())
def test_a_frame_refuses_arrays_that_are_not_rgb_images(image: np.ndarray) -> None:
    with pytest.raises(ImageError, match="an image"):
        Frame("camera", image)


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2"])
def test_a_frame_keeps_any_view_without_copying_it(dtype: str) -> None:
    pixels = np.zeros((4, 6, 4), dtype)
    view = pixels[::-1, :, 2::-1]
    assert Frame("camera", view).image is view


def test_a_frame_is_frozen() -> None:
    frame = Frame("camera", np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(dataclasses.FrozenInstanceError):
        frame.camera = "other"  # type: ignore[misc]


def test_label_and_confidence_must_have_one_size() -> None:
    with pytest.raises(ValueError, match=r"\(4, 6\).*\(4, 5\)"):
        Segmentation(np.zeros((4, 6), np.uint8), np.zeros((4, 5), np.uint8))
    with pytest.raises(ValueError, match="must be one"):
        Segmentation(np.zeros(4, np.uint8), np.zeros(4, np.uint8))


def test_an_empty_segmentation_has_the_size_asked_for_and_no_label() -> None:
    empty = Segmentation.empty((4, 6))
    assert empty.label.shape == empty.confidence.shape == (4, 6)
    assert not empty.label.any() and not empty.confidence.any()
