# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Uploading and resizing give equal tensors for every memory layout of an image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from zs_seg_ros.segmenters.shared import image_tensors
from zs_seg_ros.segmenters.shared.image_tensors import prepare, upload
from zs_seg_ros.segmenters.shared.preprocessing import Resample
from zs_seg_ros.types import RgbImage

# pytest undoes the filter that the module itself sets.
pytestmark = pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")

CPU = torch.device("cpu")
Pixels = NDArray[np.generic]


def with_row_padding(rgb: Pixels) -> Pixels:
    """As in a message whose step is larger than its width: rows begin at odd addresses."""
    height, width, _ = rgb.shape
    step = width * 3 * rgb.itemsize + 5
    memory = np.zeros(height * step, np.uint8)
    shape, strides = (height, width, 3), (step, 3 * rgb.itemsize, rgb.itemsize)
    view: Pixels = np.ndarray(shape, rgb.dtype, memory.data, 0, strides)
    view[:] = rgb
    return view


def read_only(rgb: Pixels) -> Pixels:
    return np.frombuffer(rgb.tobytes(), rgb.dtype).reshape(rgb.shape)


def from_four_channels(rgb: Pixels) -> Pixels:
    alpha = np.full_like(rgb[..., :1], 99)
    return np.concatenate([rgb, alpha], axis=2)[..., :3]


def from_bgra(rgb: Pixels) -> Pixels:
    alpha = np.full_like(rgb[..., :1], 99)
    return np.concatenate([rgb[..., ::-1], alpha], axis=2)[..., 2::-1]


VIEWS: dict[str, Callable[[Pixels], Pixels]] = {
    "plain": lambda rgb: rgb.copy(),
    "read-only": read_only,
    "bgr": lambda rgb: rgb[..., ::-1].copy()[..., ::-1],
    "read-only bgr": lambda rgb: read_only(rgb[..., ::-1].copy())[..., ::-1],
    "rgba": from_four_channels,
    "bgra": from_bgra,
    "row padding": with_row_padding,
    "bgr with row padding": lambda rgb: with_row_padding(rgb[..., ::-1])[..., ::-1],
    "every second pixel": lambda rgb: rgb.repeat(2, axis=0).repeat(2, axis=1)[::2, ::2],
    "upside down": lambda rgb: rgb[::-1].copy()[::-1],
    "mirrored": lambda rgb: rgb[:, ::-1].copy()[:, ::-1],
    "all three axes reversed": lambda rgb: rgb[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
    "foreign byte order": lambda rgb: rgb.astype(rgb.dtype.newbyteorder("S")),
    "foreign byte order, bgr": lambda rgb: rgb[..., ::-1].astype(rgb.dtype.newbyteorder("S"))[
        ..., ::-1
    ],
    "columns first": np.asfortranarray,
    "channels first": lambda rgb: rgb.transpose(2, 0, 1).copy().transpose(1, 2, 0),
}


def random_image(dtype: type, height: int = 7, width: int = 5) -> Pixels:
    random = np.random.default_rng(3)
    return random.integers(0, np.iinfo(dtype).max, (height, width, 3), dtype, endpoint=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_every_view_is_uploaded_as_its_plain_copy(
    view: Callable[[Pixels], RgbImage], dtype: type
) -> None:
    rgb = random_image(dtype)
    image = view(rgb)
    assert np.array_equal(image, rgb), "the view itself"
    tensor = upload(image, CPU)
    assert tensor.shape == (3, 7, 5)
    assert np.array_equal(tensor.permute(1, 2, 0).numpy(), rgb)


@pytest.mark.parametrize("size", [(20, 30), (31, 1), (1, 9)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_every_view_is_prepared_as_its_plain_copy(
    view: Callable[[Pixels], RgbImage], dtype: type, size: tuple[int, int]
) -> None:
    rgb = random_image(dtype, *size)
    mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.3, 0.4])
    expected = prepare([rgb.copy()], (10, 12), mean, std)
    # torch has resizing code of its own for some layouts; it may round a byte the other way.
    atol = 1 / 255 / float(std.min()) if dtype == np.uint8 else 1e-4
    torch.testing.assert_close(
        prepare([view(rgb)], (10, 12), mean, std), expected, rtol=0, atol=atol + 1e-5
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_grey_image_broadcast_to_three_channels_is_uploaded(dtype: type) -> None:
    grey = random_image(dtype)[..., 0]
    tensor = upload(np.broadcast_to(grey[..., None], (7, 5, 3)), CPU)
    assert all(np.array_equal(channel, grey) for channel in tensor.numpy())


def test_uploading_a_message_s_bytes_copies_nothing() -> None:
    image = read_only(random_image(np.uint8))
    assert upload(image, CPU).data_ptr() == image.ctypes.data


def prepared_as_shares(image: RgbImage, size: tuple[int, int]) -> NDArray[np.float32]:
    """(h, w, 3) in 0..1: prepared, without normalisation."""
    tensor = prepare([image], size, torch.zeros(3), torch.ones(3))
    shares: NDArray[np.float32] = tensor[0].permute(1, 2, 0).numpy()
    return shares


@pytest.mark.parametrize("size", [(352, 352), (60, 80), (240, 160), (13, 300), (480, 640), (1, 1)])
def test_resizing_is_pillows_bilinear_within_one_and_a_half_steps(size: tuple[int, int]) -> None:
    image = random_image(np.uint8, 240, 320)
    image[60:180, 80:240] = (250, 10, 128)  # edges, beside the noise
    pillow = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
    difference = np.abs(prepared_as_shares(image, size) - np.asarray(pillow) / 255.0)
    assert difference.max() <= 1.5 / 255


def test_16_bits_are_resized_like_8_over_their_full_range() -> None:
    image = random_image(np.uint8, 24, 32)
    shares = prepared_as_shares(image, (12, 16))
    wide = prepared_as_shares(image.astype(np.uint16) * 257, (12, 16))
    assert np.abs(shares - wide).max() <= 1 / 255
    white = prepared_as_shares(np.full((4, 4, 3), 65535, np.uint16), (2, 2))
    assert np.abs(white - 1).max() < 1e-6


def test_an_image_of_the_right_size_is_not_resized() -> None:
    image = random_image(np.uint8)
    np.testing.assert_allclose(prepared_as_shares(image, (7, 5)), image / 255.0, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_compiled_functions_prepare_what_torch_does(
    view: Callable[[Pixels], RgbImage], resample: Resample, monkeypatch: pytest.MonkeyPatch
) -> None:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    shapes = [(20, 30), (48, 64), (31, 1), (1, 9)]
    images = [view(random_image(np.uint8, *shape)) for shape in shapes]
    by_kernels = prepare(images, (20, 30), mean, std, resample=resample)
    monkeypatch.setattr(image_tensors, "compiled_kernels", lambda: None)
    by_torch = prepare(images, (20, 30), mean, std, resample=resample)
    assert torch.equal(by_kernels[0], by_torch[0])  # the image that is not resized
    # torch has resizing code of its own for some layouts; it may round a byte the other way.
    torch.testing.assert_close(by_kernels, by_torch, rtol=0, atol=1 / 255 / 0.224 + 1e-5)


def test_images_of_different_sizes_and_types_become_one_normalised_batch() -> None:
    images = [
        np.full((6, 9, 3), (0, 51, 255), np.uint8),
        np.full((11, 4, 3), (0, 51 * 257, 65535), np.uint16),
    ]
    mean, std = torch.tensor([0.5, 0.2, 0.0]), torch.tensor([0.5, 0.1, 0.25])
    batch = prepare(images, (5, 8), mean, std, torch.float64)
    assert batch.shape == (2, 3, 5, 8) and batch.dtype == torch.float64
    expected = torch.tensor([-1.0, 0.0, 4.0], dtype=torch.float64)[None, :, None, None]
    assert (batch - expected).abs().max() < 1e-5
