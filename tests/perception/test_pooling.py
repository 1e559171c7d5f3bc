# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Features are pooled over masks by the number of pixels in each cell of the grid."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from zs_seg_ros.perception.pipeline import Pipeline, Settings
from zs_seg_ros.perception.pooling import pooled
from zs_seg_ros.perception.rotation import as_received
from zs_seg_ros.requested_outputs import RequestedOutputs
from zs_seg_ros.segmenters.shared.example_pooling import pooled_example, pooled_over
from zs_seg_ros.shared_space import FeatureGrid
from zs_seg_ros.types import Box, DetectedObject, Frame, Scene, Segmentation
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary


def grid_of(height: int, width: int, dimension: int = 5, seed: int = 0) -> FeatureGrid:
    values = np.random.default_rng(seed).normal(size=(height, width, dimension))
    values /= np.linalg.norm(values, axis=-1, keepdims=True)
    return FeatureGrid("small", values.astype(np.float32))


def by_pixels(grid: FeatureGrid, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Pool by a loop over all pixels of the mask (H, W)."""
    rows, columns = grid.values.shape[:2]
    total = np.zeros(grid.values.shape[2])
    for y, x in np.argwhere(mask).tolist():
        row = int(Fraction(2 * y + 1, 2 * mask.shape[0]) * rows)
        total += grid.values[row, int(Fraction(2 * x + 1, 2 * mask.shape[1]) * columns)]
    return total / np.linalg.norm(total)


@given(
    height=st.integers(1, 40), width=st.integers(1, 40), rows=st.integers(1, 50),
    columns=st.integers(1, 50), seed=st.integers(0, 1000),
)  # fmt: skip
def test_each_pixel_of_the_mask_counts_once(
    height: int, width: int, rows: int, columns: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    mask = random.random((height, width)) < 0.5
    top, left = int(random.integers(height)), int(random.integers(width))
    mask[top, left] = True
    mask[:top], mask[:, :left] = False, False
    grid = grid_of(rows, columns, seed=seed)
    box = Box(left, top, width - left, height - top)
    vector = pooled_over(grid, (height, width), box, mask[top:, left:])
    assert vector.dtype == np.float32
    assert vector == pytest.approx(by_pixels(grid, mask), abs=1e-4)


def test_objects_keep_their_order_and_none_are_an_empty_array() -> None:
    grid = grid_of(2, 2, 3)
    whole = np.ones((4, 4), np.bool_)
    objects = [
        DetectedObject(1, 0.5, Box(left, top, 4, 4), whole) for top in (0, 4) for left in (4, 0)
    ]
    embeddings = pooled(grid, (8, 8), objects)
    assert embeddings.model == "small" and embeddings.dimension == 3
    expected = grid.values[[0, 0, 1, 1], [1, 0, 1, 0]]
    assert embeddings.values == pytest.approx(expected, abs=1e-6)
    none = pooled(grid, (8, 8), [])
    assert none.values.shape == (0, 3) and none.dimension == 3


def test_an_example_without_a_mask_is_the_mean_of_the_image() -> None:
    grid = grid_of(3, 3)
    [vector] = pooled_example(grid, Exemplar(np.zeros((6, 9, 3), np.uint8)))
    mean = grid.values.mean(axis=(0, 1))
    assert vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_features_turn_with_the_image(rotation: int) -> None:
    """The vector of a pixel is the same before and after its upright image is turned back."""
    upright = grid_of(6, 4)
    label = np.arange(24, dtype=np.uint8).reshape(6, 4)
    turned = as_received(Segmentation(label, label.copy(), features=upright), rotation)
    assert turned.features is not None
    for y, x in np.ndindex(turned.label.shape):
        number = int(turned.label[y, x])
        assert np.array_equal(turned.features.values[y, x], upright.values[number // 4, number % 4])


@pytest.mark.parametrize(
    ("requested", "from_ns", "expected"),
    [(True, None, True), (False, None, False), (True, 5, False)],
    ids=["requested", "not requested", "carried from another image"],
)
def test_a_scene_has_features_of_its_own_image_where_they_are_requested(
    requested: bool, from_ns: int | None, expected: bool
) -> None:
    label = np.zeros((20, 30), np.uint8)
    label[4:14, 3:12] = 1
    frame = Frame(
        "camera",
        np.zeros((20, 30, 3), np.uint8),
        stamp_ns=7,
        requested=RequestedOutputs(objects=True, features=requested),
    )
    segmentation = Segmentation(label, label * 255, features=grid_of(4, 6))
    vocabulary = Vocabulary().changed_to([TargetClass("mug")])
    scene = Scene(frame, segmentation, vocabulary, propagated_from_ns=from_ns)
    completed = Pipeline().completed(scene, Settings())
    assert len(completed.objects) == 1
    assert (completed.features is not None) == expected
    if completed.features is not None:
        [vector] = completed.features.values
        assert vector == pytest.approx(by_pixels(grid_of(4, 6), label > 0), abs=1e-4)
