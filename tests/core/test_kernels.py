# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The compiled functions: limits, arrays of any layout, and a library that cannot be used."""

from __future__ import annotations

import _ctypes
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zs_seg_ros import kernels
from zs_seg_ros.kernels import COMPONENT, RUN, Kernels, compiled_kernels, load_kernels

UINT8 = np.dtype(np.uint8)


@pytest.fixture
def forgotten() -> Iterator[None]:
    load_kernels.cache_clear()
    yield
    load_kernels.cache_clear()


@pytest.mark.usefixtures("forgotten")
def test_the_variable_turns_them_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZS_SEG_KERNELS", "off")
    assert load_kernels() == "ZS_SEG_KERNELS is off"
    assert compiled_kernels() is None


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("contents", [b"", b"no library", None])
def test_a_library_that_cannot_be_used_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contents: bytes | None
) -> None:
    file = tmp_path / "k.so"
    if contents is None:  # a library without these functions
        file.symlink_to(_ctypes.__file__)
    else:
        file.write_bytes(contents)
    monkeypatch.setattr(kernels, "FILE", file)
    assert str(load_kernels()).startswith(f"{file} cannot be used: ")
    assert compiled_kernels() is None


@pytest.mark.usefixtures("forgotten")
def test_without_a_library_they_are_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "FILE", tmp_path / "k.so")
    assert load_kernels() == "not built"


def test_structures_have_the_size_that_c_gives_them() -> None:
    assert (RUN.itemsize, COMPONENT.itemsize) == (16, 40)


def test_limits_may_be_infinite_and_are_reached_by_equal_logits(compiled: Kernels) -> None:
    logits = np.full((3, 2, 3), 1.5, np.float32)
    for limits, winner in (
        ((np.inf, 1.5, -np.inf), 7),
        ((-np.inf, 1.5, 1.5), 5),  # of equal ones the first
        ((np.inf, 1.6, 1.5), 9),
        ((np.inf, 1.6, np.inf), 0),
    ):
        label, best = compiled.argmax(logits, limits, (5, 4), (5, 7, 9), UINT8)
        assert np.unique(label).tolist() == [winner]
        assert np.unique(best).tolist() == [1.5 if winner else -np.inf]


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_nan_and_infinities_are_replaced_wherever_they_are(compiled: Kernels, odd: float) -> None:
    logits = np.random.default_rng(3).normal(0, 3, (3, 6, 5)).astype(np.float32)
    for place in ((0, 0, 0), (2, 5, 4), (1, 3, 0), (0, 2, 4)):
        broken = logits.copy()
        broken[place] = odd
        expected = logits.copy()
        expected[place] = 1e4 if odd > 0 else -1e4
        found = compiled.argmax(broken, [0.0] * 3, (13, 12), (1, 2, 3), UINT8)
        replaced = compiled.argmax(expected, [0.0] * 3, (13, 12), (1, 2, 3), UINT8)
        assert all(np.array_equal(*pair) for pair in zip(found, replaced, strict=True))


@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    wide=st.booleans(),
)
def test_arrays_of_any_layout_give_what_their_copies_give(
    compiled: Kernels, seed: int, height: int, width: int, wide: bool
) -> None:
    random = np.random.default_rng(seed)
    dtype = np.dtype(np.uint16 if wide else np.uint8)
    logits = random.normal(0, 3, (width, height, 4)).astype(np.float32).transpose(2, 1, 0)
    ids, size = (3, 250, 7, 254 + 700 * wide), (2 * height + 1, 3 * width)
    label, best = compiled.argmax(logits, [0.0] * 4, size, ids, dtype)
    copied = compiled.argmax(logits.copy(), [0.0] * 4, size, ids, dtype)
    assert np.array_equal(label, copied[0]) and np.array_equal(best, copied[1])
    confidence = compiled.confidence(best[:, ::-1], label[:, ::-1])
    assert np.array_equal(confidence, compiled.confidence(best, label)[:, ::-1])
    turned = compiled.components(label.T, confidence[:, ::-1].T)
    whole = compiled.components(label.T.copy(), confidence[:, ::-1].T.copy())
    assert all(np.array_equal(*pair) for pair in zip(turned, whole, strict=True))


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 12), st.integers(1, 30)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 90)),
    wide=st.booleans(),
    odd=st.sampled_from([0.0, np.nan, np.inf]),
)
def test_label_and_confidence_are_those_of_two_calls_and_of_opencv(
    compiled: Kernels,
    seed: int,
    shape: tuple[int, int],
    size: tuple[int, int],
    wide: bool,
    odd: float,
) -> None:
    random = np.random.default_rng(seed)
    dtype = np.dtype(np.uint16 if wide else np.uint8)
    logits = random.normal(0, 3, (3, *shape)).astype(np.float32)
    logits[0, 0, 0] = odd
    arguments = logits, [-0.5, 0.5, np.inf], size, (9, 250 + 700 * wide, 5), dtype
    label, best = compiled.argmax(*arguments)
    both = compiled.label_and_confidence(*arguments)
    assert np.array_equal(both[0], label)
    assert np.array_equal(both[1], compiled.confidence(best, label))
    if np.isfinite(odd):
        resized = np.stack([cv2.resize(each, size[::-1]) for each in logits[:2]])
        limits = np.array([-0.5, 0.5])[:, None, None]
        clear = (np.abs(resized - limits) > 1e-4).all(axis=0)
        highest = np.where(resized < limits, -np.inf, resized).max(axis=0)
        assert np.allclose(best[clear], highest[clear], atol=1e-4)


@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 12),
    width=st.integers(1, 30),
    wide=st.booleans(),
)
def test_a_label_image_is_carried_as_by_opencv(
    compiled: Kernels, seed: int, height: int, width: int, wide: bool
) -> None:
    random = np.random.default_rng(seed)
    shape, scale = (height, width), random.uniform(0.5, 1)
    label = random.integers(0, 3, shape).astype(np.uint16 if wide else np.uint8) * 120
    confidence = np.where(label > 0, random.integers(1, 256, shape), 0).astype(np.uint8)
    # No place is between two pixels: rounding would decide.
    x, y = (
        (random.integers(-3, length + 3, shape) + random.uniform(-0.4, 0.4, shape)).astype("f4")
        for length in (width, height)
    )
    x[0, 0], y[-1, -1] = random.choice([1e9, -1e9, np.inf, np.nan], 2)
    trust = random.integers(0, 256, shape).astype(np.uint8)
    new_label, share = compiled.warp(label, confidence, (x, y, trust), scale / 255)
    inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5) & (trust > 0)
    rows, columns = (np.where(inside, place, 0).round().astype(int) for place in (y, x))
    expected = np.where(inside, label[rows, columns], 0)
    assert np.array_equal(new_label, expected) and new_label.dtype == label.dtype
    exact = confidence[rows, columns] * (trust * scale / 255)
    assert np.array_equal(share > 0, expected > 0)
    assert np.abs(share - np.maximum(exact, 1))[expected > 0].max(initial=0) <= 0.5001


@given(values=st.lists(st.floats(-200, 200, width=32), min_size=1, max_size=200))
def test_confidence_is_the_rounded_probability(compiled: Kernels, values: list[float]) -> None:
    logits = np.array([values], np.float32)
    exact = 255 / (1 + np.exp(-logits.astype(np.float64)))
    confidence = compiled.confidence(logits, np.ones(logits.shape, np.uint8))
    assert np.abs(confidence - np.maximum(exact, 1)).max() <= 0.5001
    assert not compiled.confidence(logits, np.zeros(logits.shape, np.uint16)).any()
