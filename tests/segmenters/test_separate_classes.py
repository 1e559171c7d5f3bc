# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Classes of which no two touch are recognised, and labelled as classes that do touch are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from zs_seg_ros.segmenters.shared.label_layers import argmax_over_classes
from zs_seg_ros.segmenters.shared.separate_classes import (
    classes_above,
    reach_of_separate_classes,
)
from zs_seg_ros.vocabulary.class_ids import LabelIds


def reaches(above: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (K, h, w): each class's pixels and their 8 neighbours."""
    height, width = above.shape[1:]
    padded = np.pad(above, ((0, 0), (1, 1), (1, 1)))
    shifts = [(y, x) for y in range(3) for x in range(3)]
    return np.any([padded[:, y : y + height, x : x + width] for y, x in shifts], axis=0)


@st.composite
def sparse_logits(draw: st.DrawFn) -> NDArray[np.float32]:
    """Return logits (K, h, w) of a few pixels above 0 for each class."""
    count, height, width = (
        draw(st.integers(1, 6)),
        draw(st.integers(1, 14)),
        draw(st.integers(1, 14)),
    )
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = random.uniform(-6, -1, (count, height, width)).astype(np.float32)
    for channel in range(count):
        top, left = random.integers(0, height), random.integers(0, width)
        bottom, right = top + random.integers(0, 4), left + random.integers(0, 4)
        logits[channel, top:bottom, left:right] = random.uniform(1, 6)
    return logits


@settings(max_examples=300, deadline=None)
@given(sparse_logits())
def test_classes_are_separate_where_no_pixel_is_within_the_reach_of_two(
    logits: NDArray[np.float32],
) -> None:
    present = classes_above(logits, [0.0] * len(logits))
    assert [above.channel for above in present] == np.flatnonzero(
        (logits > 0).any(axis=(1, 2))
    ).tolist()
    number = reach_of_separate_classes(present)
    reach = reaches(logits > 0)[[above.channel for above in present]]
    if not present or (reach.sum(axis=0) > 1).any():
        assert number is None
    else:
        assert number is not None
        expected = (reach * np.arange(1, len(present) + 1)[:, None, None]).sum(axis=0)
        assert np.array_equal(number, expected)


@settings(max_examples=200, deadline=None)
@given(sparse_logits(), st.tuples(st.integers(1, 40), st.integers(1, 40)), st.booleans())
def test_separate_classes_are_labelled_as_each_of_them_alone(
    logits: NDArray[np.float32], size: tuple[int, int], large_ids: bool
) -> None:
    values = [7 + i + 1000 * large_ids for i in range(len(logits))]
    ids, limits = LabelIds.of(values), [0.0] * len(logits)
    label, best = argmax_over_classes(logits, limits, size, ids)
    assert (label.shape, best.shape, label.dtype) == (size, size, ids.dtype)
    if reach_of_separate_classes(classes_above(logits, limits)) is None:
        return
    expected = np.zeros(size, ids.dtype)
    for channel, value in enumerate(values):
        alone, logit = argmax_over_classes(
            logits[[channel]], [0.0], size, ids.of_classes([channel])
        )
        assert set(np.unique(alone)) <= {0, value}
        expected[alone > 0] = value
        np.testing.assert_allclose(best[alone > 0], logit[alone > 0], rtol=1e-5, atol=1e-5)
    assert np.array_equal(label, expected)


@pytest.mark.parametrize(
    ("limits", "separate"), [((0.0, 0.0), True), ((0.0, 1.0), False), ((9.0, 9.0), False)]
)
def test_only_classes_of_one_threshold_are_decoded_together(
    limits: tuple[float, float], separate: bool
) -> None:
    logits = np.full((2, 8, 8), -5, np.float32)
    logits[0, 1, 1] = logits[1, 6, 6] = 5
    assert (reach_of_separate_classes(classes_above(logits, limits)) is not None) == separate


def test_more_classes_than_numbers_are_decoded_as_well() -> None:
    logits = np.full((300, 60, 60), -5, np.float32)
    places = [(y, x) for y in range(0, 60, 3) for x in range(0, 60, 3)][:300]
    for channel, (y, x) in enumerate(places):
        logits[channel, y, x] = 5
    ids = LabelIds.of(range(300, 600))
    label, _ = argmax_over_classes(logits, [0.0] * 300, (60, 60), ids)
    assert [int(label[place]) for place in places] == list(range(300, 600))
