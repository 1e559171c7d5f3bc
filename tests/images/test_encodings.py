# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Every colour encoding of sensor_msgs is read as OpenCV reads it, with padding and odd sizes, without cv_bridge."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.encodings import CONVERTED, RawImage

SIZES = st.integers(3, 9)
SEEDS = st.integers(0, 2**32 - 1)


def padded(rows: NDArray[np.uint8], padding: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    noise = rng.integers(0, 256, (len(rows), padding), np.uint8)
    return np.concatenate([rows, noise], axis=1)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        ("rggb", cv2.COLOR_BayerBG2RGB),
        ("bggr", cv2.COLOR_BayerRG2RGB),
        ("gbrg", cv2.COLOR_BayerGR2RGB),
        ("grbg", cv2.COLOR_BayerGB2RGB),
    ],
)
@given(height=SIZES, width=SIZES, padding=st.integers(0, 5), seed=SEEDS, big_endian=st.booleans())
def test_mosaics_are_what_opencv_makes_of_them(
    pattern: str,
    code: int,
    bits: int,
    height: int,
    width: int,
    padding: int,
    seed: int,
    big_endian: bool,
) -> None:
    rng = np.random.default_rng(seed)
    kind = np.dtype(f"u{bits // 8}")
    mosaic = rng.integers(0, 2**bits, (height, width), kind)
    stored = mosaic.astype(kind.newbyteorder(">" if big_endian else "<"))
    rows = padded(stored.view(np.uint8).reshape(height, -1), padding, rng)
    raw = RawImage(height, width, f"bayer_{pattern}{bits}", big_endian, rows.shape[1], rows.ravel())
    assert np.array_equal(CONVERTED[raw.encoding](raw), cv2.cvtColor(mosaic, code))


def test_a_mosaic_has_its_colours_where_its_name_says() -> None:
    red_alone = np.zeros((6, 6), np.uint8)
    red_alone[::2, ::2] = 255
    raw = RawImage(6, 6, "bayer_rggb8", False, 6, red_alone.ravel())
    assert CONVERTED["bayer_rggb8"](raw)[2, 2].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("encoding", "code"),
    [
        ("uyvy", cv2.COLOR_YUV2RGB_UYVY),
        ("yuv422", cv2.COLOR_YUV2RGB_UYVY),
        ("yuyv", cv2.COLOR_YUV2RGB_YUY2),
        ("yuv422_yuy2", cv2.COLOR_YUV2RGB_YUY2),
    ],
)
@given(
    height=SIZES, half=st.integers(1, 5), odd=st.booleans(), padding=st.integers(0, 5), seed=SEEDS
)
def test_packed_yuv_is_what_opencv_makes_of_it(
    encoding: str, code: int, height: int, half: int, odd: bool, padding: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    even = rng.integers(0, 256, (height, 2 * half, 2), np.uint8)
    width = 2 * half - odd
    rows = padded(even[:, :width].reshape(height, -1), padding, rng)
    raw = RawImage(height, width, encoding, False, rows.shape[1], rows.ravel())
    expected = cv2.cvtColor(even, code)
    read = CONVERTED[encoding](raw)
    complete = width - odd  # the last pixel of an odd row lacks a chroma value
    assert read.shape == (height, width, 3)
    assert np.array_equal(read[:, :complete], expected[:, :complete])


def test_the_last_pixel_of_an_odd_row_keeps_the_chroma_of_its_neighbour() -> None:
    red = cv2.cvtColor(np.full((2, 4, 3), (200, 40, 40), np.uint8), cv2.COLOR_RGB2YUV_YUY2)
    raw = RawImage(2, 3, "yuyv", False, 6, np.ascontiguousarray(red[:, :3]).ravel())
    read = CONVERTED["yuyv"](raw).astype(int)
    assert np.abs(read[:, 2] - read[:, 0]).max() <= 1


@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
@given(height=SIZES, width=SIZES, padding=st.integers(0, 5), seed=SEEDS)
def test_planar_yuv_is_what_opencv_makes_of_it(
    encoding: str, height: int, width: int, padding: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    even_height, even_width = height + height % 2, width + width % 2
    luma = rng.integers(0, 256, (height, width), np.uint8)
    chroma = rng.integers(0, 256, (even_height // 2, even_width), np.uint8)
    step = even_width + padding
    data = np.concatenate(
        [padded(luma, step - width, rng).ravel(), padded(chroma, padding, rng).ravel()]
    )
    read = CONVERTED[encoding](RawImage(height, width, encoding, False, step, data))
    code = cv2.COLOR_YUV2RGB_NV12 if encoding == "nv12" else cv2.COLOR_YUV2RGB_NV21
    whole = np.pad(luma, ((0, height % 2), (0, width % 2)), "edge")
    expected = cv2.cvtColor(np.concatenate([whole, chroma]), code)[:height, :width]
    assert np.array_equal(read, expected)


@given(height=SIZES, width=SIZES, seed=SEEDS)
def test_nv24_has_a_chroma_value_for_each_pixel(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    luma = rng.integers(0, 256, (height, width), np.uint8)
    chroma = rng.integers(0, 256, (height, width, 2), np.uint8)
    data = np.concatenate([luma.ravel(), chroma.ravel()])
    read = CONVERTED["nv24"](RawImage(height, width, "nv24", False, width, data))
    for row, column in ((0, 0), (height - 1, width - 1)):
        one = np.full((3, 2), 0, np.uint8)  # a 4:2:0 image of this pixel alone
        one[:2], one[2] = luma[row, column], chroma[row, column]
        assert np.array_equal(read[row, column], cv2.cvtColor(one, cv2.COLOR_YUV2RGB_NV12)[0, 0])


@pytest.mark.parametrize("encoding", sorted(CONVERTED))
def test_data_that_is_cut_off_is_refused(encoding: str) -> None:
    with pytest.raises(ImageError, match="truncates it"):
        CONVERTED[encoding](RawImage(6, 6, encoding, False, 24, np.zeros(40, np.uint8)))


@pytest.mark.parametrize("encoding", [e for e in CONVERTED if e.startswith("bayer")])
def test_a_mosaic_too_small_for_colours_is_refused(encoding: str) -> None:
    with pytest.raises(ImageError, match="at least 3 pixels"):
        CONVERTED[encoding](RawImage(2, 8, encoding, False, 16, np.zeros(64, np.uint8)))
