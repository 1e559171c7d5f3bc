# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Post-processing of logits to label images, compared with plain numpy."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from zs_seg_ros import Segmentation
from zs_seg_ros.segmenters.shared.class_logits import max_over_prompts
from zs_seg_ros.segmenters.shared.label_image import _argmax, decode
from zs_seg_ros.segmenters.shared.label_layers import _layers, _region, argmax_over_classes
from zs_seg_ros.segmenters.shared.separate_classes import classes_above
from zs_seg_ros.vocabulary.class_ids import LabelIds

pytestmark = pytest.mark.usefixtures("with_and_without_kernels")

TOO_CLOSE = 1e-3
"""Rounding errors of float32 may decide between logits that are nearer than this to each other or to a limit."""


@dataclass(frozen=True)
class Case:
    logits: NDArray[np.float32]
    size: tuple[int, int]
    thresholds: NDArray[np.float32]
    ids: tuple[int, ...]

    def decoded(self, *channels: int) -> Segmentation:
        """Decode with these classes alone; with all of them when none is given."""
        chosen = list(channels or range(len(self.ids)))
        ids = LabelIds.of(self.ids[i] for i in chosen)
        return decode(
            torch.from_numpy(self.logits[chosen]), self.size, self.thresholds[chosen], ids
        )


@st.composite
def cases(draw: st.DrawFn, least_classes: int = 0, most_classes: int = 40) -> Case:
    count = draw(st.integers(least_classes, most_classes))
    sides = st.integers(1, 12)
    h, w = draw(sides), draw(sides)
    size = draw(st.tuples(st.integers(1, 16), st.integers(1, 16)) | st.just((2 * h, 2 * w)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    highest_id = draw(st.sampled_from([254, 1000, 65534]))
    free = [i for i in range(max(1, highest_id - 300), highest_id + 1) if i != 255]
    rare = draw(st.booleans())  # else classes touch each other everywhere
    thresholds = random.uniform(0.05, 0.95, draw(st.sampled_from([1, 2, count or 1])))
    return Case(
        logits=random.normal(-6 if rare else 0, 3, (count, h, w)).astype(np.float32),
        size=size,
        thresholds=random.choice(thresholds, count).astype(np.float32),
        ids=tuple(int(i) for i in random.choice(free, count, replace=False)),
    )


def logit(share: NDArray[np.float32]) -> NDArray[np.float64]:
    exact = share.astype(np.float64)
    return np.log(exact / (1 - exact))


def resized_along(values: NDArray[np.float64], axis: int, length: int) -> NDArray[np.float64]:
    """Interpolate linearly between the centres of pixels, with edges extended."""
    have = values.shape[axis]
    centres = np.clip((np.arange(length) + 0.5) * have / length - 0.5, 0, have - 1)
    low = np.floor(centres).astype(int)
    high = np.minimum(low + 1, have - 1)
    share = (centres - low).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    return values.take(low, axis) * (1 - share) + values.take(high, axis) * share


def reaching(case: Case) -> NDArray[np.float64]:
    """Compute resized logits (K, H, W) float64, -inf where they are below the limit of their class."""
    full = resized_along(case.logits.astype(np.float64), 1, case.size[0])
    full = resized_along(full, 2, case.size[1])
    return np.where(full >= logit(case.thresholds)[:, None, None], full, -np.inf)


def clear_pixels(case: Case) -> NDArray[np.bool_]:
    """Find the pixels (H, W) where no two classes, and no class and its limit, are `TOO_CLOSE`."""
    full = resized_along(case.logits.astype(np.float64), 1, case.size[0])
    full = resized_along(full, 2, case.size[1])
    clear = (np.abs(full - logit(case.thresholds)[:, None, None]) > TOO_CLOSE).all(axis=0)
    if len(full) > 1:
        ordered = np.sort(full, axis=0)
        clear &= (np.diff(ordered, axis=0) > TOO_CLOSE).all(axis=0)
    return clear


@settings(max_examples=150, deadline=None)
@given(cases())
def test_each_pixel_gets_the_most_confident_class_that_reaches_its_threshold(case: Case) -> None:
    result = case.decoded()
    assert result.label.shape == result.confidence.shape == case.size
    candidates = np.concatenate([np.full((1, *case.size), -1e9), reaching(case)])
    winner = candidates.argmax(axis=0)
    expected_label = np.array([0, *case.ids])[winner]
    confidence = 1 / (1 + np.exp(-candidates.max(axis=0).clip(-50)))
    expected_confidence = np.where(winner > 0, np.rint(confidence * 255).clip(1), 0)
    clear = clear_pixels(case)
    assert (result.label == expected_label)[clear].all()
    difference = np.abs(result.confidence.astype(int) - expected_confidence)[clear]
    assert difference.max(initial=0) <= 1


@settings(max_examples=100, deadline=None)
@given(cases(least_classes=1))
def test_confidence_is_0_exactly_where_the_label_is_0(case: Case) -> None:
    result = case.decoded()
    assert ((result.confidence == 0) == (result.label == 0)).all()
    assert set(np.unique(result.label)) <= {0, *case.ids}


@settings(max_examples=60, deadline=None)
@given(cases(least_classes=2, most_classes=20), st.data())
def test_a_mask_depends_on_other_classes_only_where_a_more_confident_one_wins(
    case: Case, data: st.DataObject
) -> None:
    channel = data.draw(st.integers(0, len(case.ids) - 1))
    alone, together = case.decoded(channel), case.decoded()
    own, clear = case.ids[channel], clear_pixels(case)
    kept = clear & (together.label == own)
    lost = clear & (alone.label == own) & (together.label != own)
    difference = together.confidence.astype(int) - alone.confidence
    assert (alone.label[kept] == own).all()
    assert (np.abs(difference[kept]) <= 1).all()
    assert (together.label[lost] != 0).all()
    assert (difference[lost] >= -1).all()


@settings(max_examples=60, deadline=None)
@given(cases(least_classes=1, most_classes=20), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_a_class_of_broken_logits_does_not_change_the_others(case: Case, broken: float) -> None:
    logits = case.logits.copy()
    logits[0] = broken
    result = Case(logits, case.size, case.thresholds, case.ids).decoded()
    if broken == np.inf:
        assert (result.label == case.ids[0]).all() and (result.confidence == 255).all()
    elif len(case.ids) == 1:
        assert not result.label.any()
    else:
        others = Case(case.logits[1:], case.size, case.thresholds[1:], case.ids[1:])
        expected, clear = others.decoded(), clear_pixels(others)
        assert (result.label == expected.label)[clear].all()
        difference = np.abs(result.confidence.astype(int) - expected.confidence)
        assert (difference[clear] <= 1).all()


@pytest.mark.parametrize("broken", [np.nan, -np.inf])
def test_one_broken_pixel_changes_only_its_neighbours(broken: float) -> None:
    logits = torch.full((2, 8, 8), 5.0)
    logits[1] = 4.0
    logits[0, 2, 2] = broken
    thresholds = np.array([0.5, 0.5], np.float32)
    label = decode(logits, (16, 16), thresholds, LabelIds.of([1, 2])).label
    assert (label[4:6, 4:6] == 2).all(), "the second class must have the pixel itself"
    label[2:8, 2:8] = 1
    assert (label == 1).all()


@settings(max_examples=60, deadline=None)
@given(cases(least_classes=1))
def test_the_code_for_gpus_gives_what_the_code_for_cpus_gives(case: Case) -> None:
    logits = torch.from_numpy(case.logits)
    limits = torch.from_numpy(case.thresholds).logit()
    best, winner = _argmax(logits, limits, case.size)
    channels = range(1, len(case.ids) + 1)
    winner_on_cpu, best_on_cpu = argmax_over_classes(
        case.logits, limits.tolist(), case.size, LabelIds.of(channels)
    )
    clear = clear_pixels(case)
    assert (winner.numpy() == winner_on_cpu)[clear].all()
    labelled = clear & (winner_on_cpu > 0)
    # Torch and OpenCV compute the weights of interpolation in different orders.
    np.testing.assert_allclose(best.numpy()[labelled], best_on_cpu[labelled], atol=TOO_CLOSE / 10)


@pytest.mark.parametrize(
    ("columns", "limits", "layers"),
    [
        ((1, 5, 9), (0, 0, 0), 1),  # apart
        ((1, 3, 9), (0, 0, 0), 2),  # the reach of the second overlaps that of the first
        ((1, 3, 5), (0, 0, 0), 2),  # the third shares a layer with the first
        ((1, 5, 9), (0, 1, 0), 2),  # apart, but with another threshold
    ],
)
def test_classes_that_do_not_touch_are_resized_together(
    columns: tuple[int, ...], limits: tuple[float, ...], layers: int
) -> None:
    maps = np.full((3, 12, 12), -5, np.float32)
    for logits, column in zip(maps, columns, strict=True):
        logits[2:10, column] = 5
    regions = [_region(above, (24, 24)) for above in classes_above(maps, limits)]
    assert len(_layers(regions, (12, 12))) == layers


@pytest.mark.gpu
@settings(max_examples=60, deadline=None)
@given(cases(least_classes=1))
def test_a_gpu_decodes_like_the_cpu(case: Case) -> None:
    on_gpu = decode(
        torch.from_numpy(case.logits).cuda(), case.size, case.thresholds, LabelIds.of(case.ids)
    )
    on_cpu = case.decoded()
    clear = clear_pixels(case)
    assert (on_gpu.label == on_cpu.label)[clear].all()
    difference = np.abs(on_gpu.confidence.astype(int) - on_cpu.confidence)[clear]
    assert difference.max(initial=0) <= 1


def test_without_classes_nothing_is_labelled() -> None:
    result = decode(torch.zeros(0, 4, 4), (8, 8), np.zeros(0, np.float32), LabelIds.of([]))
    assert result.label.shape == (8, 8)
    assert not result.label.any() and not result.confidence.any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_label_has_the_dtype_of_the_ids(dtype: type) -> None:
    result = decode(
        torch.ones(1, 2, 2), (4, 4), np.full(1, 0.5, np.float32), LabelIds((7,), np.dtype(dtype))
    )
    assert (result.label.dtype, result.confidence.dtype) == (dtype, np.uint8)
    assert (result.label == 7).all()


def test_ids_up_to_65534_are_kept_in_16_bits() -> None:
    ids = LabelIds.of([256, 32767, 32768, 65534])
    logits = torch.eye(4).reshape(4, 2, 2) * 20 - 10
    result = decode(logits, (2, 2), np.full(4, 0.5, np.float32), ids)
    assert result.label.ravel().tolist() == list(ids.values)
    assert (result.confidence == 255).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_decoded_like_the_same_numbers_in_single(dtype: torch.dtype) -> None:
    half = torch.randn(20, 6, 6, generator=torch.Generator().manual_seed(1)).to(dtype)
    thresholds, ids = np.full(20, 0.5, np.float32), LabelIds.of(range(1, 21))
    result = decode(half, (12, 12), thresholds, ids)
    single = decode(half.float(), (12, 12), thresholds, ids)
    assert (result.label == single.label).all() and (result.confidence == single.confidence).all()


def test_the_logits_are_not_modified() -> None:
    logits = torch.tensor([[[torch.nan, 1.0], [torch.inf, -3.0]]])
    before = logits.clone()
    decode(logits, (4, 4), np.full(1, 0.5, np.float32), LabelIds.of([1]))
    assert torch.equal(logits.nan_to_num(nan=-1.0), before.nan_to_num(nan=-1.0))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(0, 12), st.integers(0, 2**32 - 1))
def test_the_logit_of_a_class_is_the_maximum_over_its_prompts(
    classes: int, prompts: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (prompts, 2, 3)).astype(np.float32)
    class_of_prompt = random.integers(0, classes, prompts).tolist()
    expected = np.full((classes, 2, 3), -np.inf, np.float32)
    for index, channel in zip(class_of_prompt, logits, strict=True):
        expected[index] = np.maximum(expected[index], channel)
    best = max_over_prompts(torch.from_numpy(logits), class_of_prompt, classes)
    assert np.array_equal(best.numpy(), expected)


def test_the_maximum_over_prompts_raises_no_warning_of_torch() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        max_over_prompts(torch.zeros(3, 2, 2), (0, 1, 1), 2)
