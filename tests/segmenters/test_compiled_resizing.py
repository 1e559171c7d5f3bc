# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Images that are resized in C are those of torch and Pillow."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch import from_numpy
from torch.nn import functional

from zs_seg_ros.kernels import Kernels
from zs_seg_ros.segmenters.shared.compiled_resizing import resized_and_normalised
from zs_seg_ros.segmenters.shared.preprocessing import Resample
from zs_seg_ros.segmenters.shared.processor import this_processor

Bytes = NDArray[np.uint8]
RESAMPLES: tuple[Resample, ...] = ("bilinear", "bicubic")
ZEROS, ONES = np.zeros(3, np.float32), np.ones(3, np.float32)


@pytest.fixture(scope="module")
def kernels(compiled: Kernels) -> Kernels:
    if "avx2" not in this_processor().flags:
        pytest.skip("torch resizes images on processors without AVX2")
    return compiled


def random_bytes(seed: int, *shape: int) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def resized(kernels: Kernels, image: Bytes, size: tuple[int, int], resample: Resample) -> Bytes:
    """(h, w, 3) bytes again."""
    planes = resized_and_normalised(kernels, image, size, ZEROS, ONES, resample)
    assert planes is not None and planes.shape == (3, *size)
    grey_levels = planes.transpose(1, 2, 0) * 255
    assert np.abs(grey_levels - grey_levels.round()).max() < 1e-3
    return grey_levels.round().astype(np.uint8)


def by_torch(image: Bytes, size: tuple[int, int], resample: Resample) -> Bytes:
    planes = from_numpy(image.copy()).permute(2, 0, 1)[None]
    result = functional.interpolate(planes, size, mode=resample, antialias=True)
    pixels: Bytes = result[0].permute(1, 2, 0).numpy()
    return pixels


def by_pillow(image: Bytes, size: tuple[int, int], resample: Resample) -> Bytes:
    method = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[resample]
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size[::-1], method))


def in_memory_of(kind: str, image: Bytes) -> Bytes:
    """The same pixels as a message of another encoding, or with padded or reversed rows, has them."""
    with_alpha = np.dstack([image, random_bytes(0, *image.shape[:2])])
    views = {
        "rgb": image,
        "bgr": image[..., ::-1].copy()[..., ::-1],
        "rgba": with_alpha[..., :3],
        "bgra": np.ascontiguousarray(with_alpha[..., [2, 1, 0, 3]])[..., 2::-1],
        "grey": np.broadcast_to(image[..., :1].copy(), image.shape),
        "row padding": np.hstack([image, image])[:, : image.shape[1]],
        "upside down": image[::-1].copy()[::-1],
        "one column for all": np.broadcast_to(image[:, :1].copy(), image.shape),
    }
    return views[kind]


KINDS = (
    *("rgb", "bgr", "rgba", "bgra", "grey"),
    *("row padding", "upside down", "one column for all"),
)
SIDES = st.integers(1, 130)


@given(
    seed=st.integers(0, 10**6),
    sides=st.tuples(SIDES, SIDES),
    size=st.tuples(SIDES, SIDES),
    resample=st.sampled_from(RESAMPLES),
    kind=st.sampled_from(KINDS),
)
def test_the_bytes_are_those_of_torch_and_within_one_of_pillows(
    kernels: Kernels,
    seed: int,
    sides: tuple[int, int],
    size: tuple[int, int],
    resample: Resample,
    kind: str,
) -> None:
    image = in_memory_of(kind, random_bytes(seed, *sides, 3))
    result = resized(kernels, image, size, resample).astype(int)
    assert np.abs(result - by_pillow(image, size, resample)).max() <= 1
    differs = result != by_torch(image, size, resample)  # whose sums may have another order one day
    assert differs.mean() < 0.01


@pytest.mark.parametrize("resample", RESAMPLES)
@pytest.mark.parametrize("size", [(352, 352), (1, 1), (2, 700), (480, 640), (500, 7)])
def test_edges_of_black_and_white_saturate(
    kernels: Kernels, size: tuple[int, int], resample: Resample
) -> None:
    image = np.where(random_bytes(2, 480, 640, 1) > 127, 255, 0).repeat(3, axis=2).astype(np.uint8)
    result = resized(kernels, image, size, resample).astype(int)
    assert np.abs(result - by_pillow(image, size, resample)).max() <= 1


def test_values_are_normalised_by_the_channels_own_mean_and_std(kernels: Kernels) -> None:
    image = np.full((9, 7, 3), (255, 51, 0), np.uint8)
    mean, std = np.array([0.5, 0.1, 0.25], np.float32), np.array([0.5, 0.2, 0.125], np.float32)
    for view in (image, in_memory_of("bgr", image)):
        planes = resized_and_normalised(kernels, view, (5, 33), mean, std, "bilinear")
        assert planes is not None
        for plane, expected in zip(planes, (1.0, 0.5, -2.0), strict=True):
            np.testing.assert_allclose(plane, expected, rtol=0, atol=1e-6)


def test_normalised_bytes_are_the_quotients_of_floats(kernels: Kernels) -> None:
    every_byte = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None], (3, 256, 1))
    random = np.random.default_rng(1)
    for _ in range(100):
        mean, std = (random.uniform(0.01, 1, 3).astype(np.float32) for _ in range(2))
        shares = every_byte / np.float32(255)
        expected = (shares - mean[:, None, None]) / std[:, None, None]
        assert expected.dtype == np.float32
        assert np.array_equal(kernels.normalised(every_byte, mean, std), expected)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "row padding"])
@pytest.mark.parametrize("width", [1, 2, 5, 16, 33])
def test_nothing_behind_the_last_pixel_is_read(kernels: Kernels, width: int, kind: str) -> None:
    image = random_bytes(3, 11, width, 3)
    expected = resized(kernels, in_memory_of(kind, image), (40, 40), "bicubic")
    source = in_memory_of(kind, image)
    memory = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    page = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + mmap.PAGESIZE
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(page), mmap.PAGESIZE, 0) == 0
    # The bytes from the lowest to the highest of the view, which is the last one before the locked page.
    spans = [stride * (n - 1) for n, stride in zip(source.shape, source.strides, strict=True)]
    low = source.ctypes.data + sum(min(span, 0) for span in spans)
    high = source.ctypes.data + sum(max(span, 0) for span in spans) + 1
    start = page - (high - low)
    ctypes.memmove(start, low, high - low)
    offset = start - (page - mmap.PAGESIZE) + source.ctypes.data - low
    view = np.ndarray(source.shape, np.uint8, memory, offset, source.strides)
    assert np.array_equal(resized(kernels, view, (40, 40), "bicubic"), expected)


@pytest.mark.parametrize(
    "view",
    [
        lambda image: image.transpose(2, 0, 1).copy().transpose(1, 2, 0),
        lambda image: image[:, ::-1].copy()[:, ::-1],
        lambda image: image.repeat(2, axis=1)[:, ::2],
    ],
    ids=["planes", "mirrored", "every second pixel"],
)
def test_images_whose_pixels_are_elsewhere_are_left_to_torch(kernels: Kernels, view) -> None:  # type: ignore[no-untyped-def]
    image = view(random_bytes(4, 8, 8, 3))
    assert resized_and_normalised(kernels, image, (4, 4), ZEROS, ONES, "bilinear") is None
