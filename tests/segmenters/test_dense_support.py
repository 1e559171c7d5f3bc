# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Masks of the built-in model hold together: holes are filled, and areas without a sure pixel are left out."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from zs_seg_ros.segmenters.dense.support import with_support

DOUBTFUL, SURE, SHARE = -2.0, 0.5, 0.4


def supported(logits: Tensor) -> Tensor:
    return with_support(logits, DOUBTFUL, SURE, SHARE)


def image_with(value: float) -> Tensor:
    """Return logits (1, 60, 80) of -8 with a rectangle of 12 by 16 of `value`."""
    logits = torch.full((1, 60, 80), -8.0)
    logits[:, 20:32, 30:46] = value
    return logits


def test_a_hole_of_doubtful_pixels_in_a_sure_object_is_filled() -> None:
    logits = image_with(3.0)
    logits[:, 24:27, 36:40] = -1.0
    assert bool((supported(logits)[:, 20:32, 30:46] > 0).all())


def test_an_area_without_a_sure_pixel_is_left_out() -> None:
    assert bool((supported(image_with(0.3)) < 0).all())


def test_the_edge_of_an_object_stays_where_it_is() -> None:
    there = supported(image_with(3.0)) > 0
    assert torch.equal(there, image_with(3.0) > 0)


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 40), st.integers(1, 4))
def test_each_prompt_is_changed_for_itself_and_within_limits(
    seed: int, height: int, width: int, count: int
) -> None:
    logits = 4 * torch.randn(count, height, width, generator=torch.Generator().manual_seed(seed))
    result = supported(logits)
    alone = torch.cat([supported(row[None]) for row in logits])
    assert torch.allclose(result, alone, atol=1e-4)
    change = result - logits
    assert float(change.min()) > -3.001 and float(change.max()) < 2.001
