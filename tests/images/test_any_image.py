# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Any Image message of a known encoding is read with the right pixels, or refused in a sentence; so are all others."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.compressed_images import (
    CompressedImageReader,
    depth_from_compressed,
    image_from_compressed,
)
from zs_seg_ros.images.encodings import CONVERTED, DEPTH, PLAIN
from zs_seg_ros.images.message_images import depth_from_image, image_from_message
from zs_seg_ros.images.video import CODECS, ENCODERS
from zs_seg_ros.perception.depth import depth_in_metres
from zs_seg_ros.types import Frame

# Written from sensor_msgs/image_encodings.hpp: bits, channels, and the place of red, green and blue.
INTERLEAVED = {
    "rgb8": (8, 3, (0, 1, 2)),
    "bgr8": (8, 3, (2, 1, 0)),
    "rgba8": (8, 4, (0, 1, 2)),
    "bgra8": (8, 4, (2, 1, 0)),
    "mono8": (8, 1, (0, 0, 0)),
    "mono16": (16, 1, (0, 0, 0)),
    "rgb16": (16, 3, (0, 1, 2)),
    "bgr16": (16, 3, (2, 1, 0)),
    "rgba16": (16, 4, (0, 1, 2)),
    "bgra16": (16, 4, (2, 1, 0)),
    "8UC1": (8, 1, (0, 0, 0)),
    "8UC3": (8, 3, (2, 1, 0)),
    "8UC4": (8, 4, (2, 1, 0)),
    "16UC3": (16, 3, (2, 1, 0)),
    "16UC4": (16, 4, (2, 1, 0)),
}
# OpenCV's names give the second row's colours.
MOSAICS = {
    "bayer_rggb": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg": cv2.COLOR_BayerGB2RGB,
}
PACKED_YUV = {
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
}
PLANAR_YUV = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}
ENCODINGS = [
    *INTERLEAVED,
    *(f"{name}{bits}" for name in MOSAICS for bits in (8, 16)),
    *PACKED_YUV,
    *PLANAR_YUV,
    "nv24",
]
SIDES = st.integers(1, 33)
MANY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


class Case:
    """One random image: `stored` makes the bytes of a message, and `rgb` holds what is to be read from it."""

    def __init__(self, encoding: str, height: int, width: int, seed: int, big_endian: bool) -> None:
        self.encoding, self.height, self.width = encoding, height, width
        self.rng, self.big_endian = np.random.default_rng(seed), big_endian

    def values(self, bits: int, *shape: int) -> NDArray[np.integer]:
        return self.rng.integers(0, 2**bits, shape, np.dtype(f"u{bits // 8}"))

    def as_bytes(self, values: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Return rows of bytes, (H, n), in the byte order of the message."""
        order = values.dtype.newbyteorder(">" if self.big_endian else "<")
        return np.ascontiguousarray(values, order).view(np.uint8).reshape(len(values), -1)

    def padded(self, rows: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
        noise = self.rng.integers(0, 256, (len(rows), step - rows.shape[1]), np.uint8)
        return np.concatenate([rows, noise], axis=1).ravel()

    def interleaved(self, padding: int) -> tuple[NDArray[np.uint8], int, NDArray[np.integer]]:
        bits, channels, places = INTERLEAVED[self.encoding]
        pixels = self.values(bits, self.height, self.width, channels)
        rows = self.as_bytes(pixels)
        step = rows.shape[1] + padding
        return self.padded(rows, step), step, pixels[..., list(places)]

    def mosaic(self, padding: int) -> tuple[NDArray[np.uint8], int, NDArray[np.integer]]:
        name, bits = self.encoding[:10], int(self.encoding[10:])
        pixels = self.values(bits, self.height, self.width)
        rows = self.as_bytes(pixels)
        step = rows.shape[1] + padding
        enough = min(self.height, self.width) >= 3
        rgb = cv2.cvtColor(pixels, MOSAICS[name]) if enough else pixels
        return self.padded(rows, step), step, rgb

    def packed_yuv(self, padding: int) -> tuple[NDArray[np.uint8], int, NDArray[np.integer]]:
        even = self.values(8, self.height, self.width + self.width % 2, 2)
        if self.width % 2:  # the last pixel keeps the second chroma value of its neighbour
            chroma = 0 if self.encoding in ("uyvy", "yuv422") else 1
            even[:, -1, chroma] = even[:, -3, chroma] if self.width > 1 else 128
        rows = np.ascontiguousarray(even[:, : self.width]).reshape(self.height, -1)
        step = rows.shape[1] + padding
        rgb = cv2.cvtColor(even.astype(np.uint8), PACKED_YUV[self.encoding])[:, : self.width]
        return self.padded(rows.astype(np.uint8), step), step, rgb

    def planar_yuv(self, padding: int) -> tuple[NDArray[np.uint8], int, NDArray[np.integer]]:
        height, width = self.height + self.height % 2, self.width + self.width % 2
        luma = self.values(8, self.height, self.width).astype(np.uint8)
        chroma = self.values(8, height // 2, width).astype(np.uint8)
        step = width + padding
        data = np.concatenate([self.padded(luma, step), self.padded(chroma, step)])
        whole = np.pad(luma, ((0, height - self.height), (0, width - self.width)), "edge")
        rgb = cv2.cvtColor(np.concatenate([whole, chroma]), PLANAR_YUV[self.encoding])
        return data, step, rgb[: self.height, : self.width]

    def full_yuv(self, padding: int) -> tuple[NDArray[np.uint8], int, NDArray[np.integer]]:
        luma = self.values(8, self.height, self.width).astype(np.uint8)
        chroma = self.values(8, self.height, 2 * self.width).astype(np.uint8)
        step = self.width + padding
        data = np.concatenate([self.padded(luma, step), self.padded(chroma, 2 * step)])
        # Each pixel as a 4:2:0 image of its own, two by two.
        tall = luma.reshape(-1, 1).repeat(2, axis=1).repeat(2, axis=0)
        rgb = [
            cv2.cvtColor(
                np.concatenate([tall[2 * i : 2 * i + 2], uv[None]]), cv2.COLOR_YUV2RGB_NV12
            )
            for i, uv in enumerate(chroma.reshape(-1, 2))
        ]
        return data, step, np.array(rgb)[:, 0, 0].reshape(self.height, self.width, 3)

    def made(self, padding: int) -> tuple[NDArray[np.uint8], int, NDArray[np.integer]]:
        """Return the bytes, the step and the RGB image."""
        if self.encoding in INTERLEAVED:
            return self.interleaved(padding)
        if self.encoding.startswith("bayer"):
            return self.mosaic(padding)
        if self.encoding in PACKED_YUV:
            return self.packed_yuv(padding)
        return self.full_yuv(padding) if self.encoding == "nv24" else self.planar_yuv(padding)


def test_the_list_of_encodings_here_is_the_packages() -> None:
    assert set(ENCODINGS) == {*PLAIN, *CONVERTED}


@pytest.mark.parametrize("encoding", ENCODINGS)
@MANY
@given(
    height=SIDES,
    width=SIDES,
    padding=st.integers(0, 17),
    more=st.integers(0, 9),
    seed=st.integers(0, 2**32 - 1),
    big_endian=st.booleans(),
)
def test_any_image_of_a_known_encoding_is_read_with_its_values(
    encoding: str, height: int, width: int, padding: int, more: int, seed: int, big_endian: bool
) -> None:
    data, step, rgb = Case(encoding, height, width, seed, big_endian).made(padding)
    message = SimpleNamespace(
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(big_endian),
        step=step,
        data=np.concatenate([data, np.zeros(more, np.uint8)]),
    )
    if encoding.startswith("bayer") and min(height, width) < 3:
        with pytest.raises(ImageError, match="at least 3 pixels"):
            image_from_message(message)
        return
    image = image_from_message(message)
    assert image.shape == (height, width, 3)
    assert image.dtype.itemsize == rgb.dtype.itemsize
    assert np.array_equal(image, rgb)
    Frame("camera", image)


TEXT = st.text(max_size=30)
FORMS = TEXT | st.sampled_from(
    [
        *ENCODINGS,
        *DEPTH,
        *CODECS,
        *ENCODERS,
        *(
            f"{encoding}; {how} compressed {inner}"
            for encoding in ("rgb8", "mono8", "bayer_rggb8", "bayer_xxxx8", "bayer_rggb16", "16UC1")
            for how in ("jpeg", "png", "webp", "tiff")
            for inner in ("", "bgr8")
        ),
        *(f"{encoding}; compressedDepth {how}" for encoding in DEPTH for how in ("png", "rvl")),
        "bayer_", "bayer_rggb", "8SC1", "32SC2", "64FC4", "theora", "h266", "h264;;;16UC1", ";", "; ; compressed",
    ]
)  # fmt: skip
FILES = [
    cv2.imencode(suffix, np.full(shape, value, np.uint16 if suffix == ".png" else np.uint8))[1]
    for suffix in (".png", ".jpg", ".webp")
    for shape in ((5, 7), (5, 7, 3), (3, 4, 4), (1, 1))
    if not (suffix != ".png" and shape[-1] == 4)
    for value in (9, 200)
]
DATA = st.binary(max_size=300) | st.sampled_from([bytes(file) for file in FILES])
COUNTS = st.integers(0, 40) | st.integers(0, 2**32 - 1)


def image_or_sentence(read: Callable[[Any], NDArray[Any]], message: Any) -> NDArray[Any] | str:
    """Return what is read from a message, or the text of its ImageError, which is one printable line."""
    try:
        return read(message)
    except ImageError as error:
        sentence = str(error)
    assert sentence.isprintable()
    return sentence


@MANY
@given(
    encoding=FORMS, height=COUNTS, width=COUNTS, step=COUNTS, data=DATA, order=st.integers(0, 255)
)
def test_any_bytes_with_any_encoding_are_an_image_or_an_image_error(
    encoding: str, height: int, width: int, step: int, data: bytes, order: int
) -> None:
    message = SimpleNamespace(
        height=height, width=width, encoding=encoding, is_bigendian=order, step=step, data=data
    )
    for read in (image_from_message, depth_from_image):
        image = image_or_sentence(read, message)
        assert isinstance(image, str) or image.shape[:2] == (height, width)


@settings(MANY, max_examples=300)
@given(
    form=FORMS,
    data=DATA,
    cut=st.integers(0, 300),
    header=st.booleans(),
    flips=st.lists(st.tuples(st.integers(0, 299), st.integers(0, 255)), max_size=3),
)
def test_any_compressed_bytes_with_any_format_are_an_image_or_an_image_error(
    form: str, data: bytes, cut: int, header: bool, flips: list[tuple[int, int]]
) -> None:
    damaged = bytearray(bytes(12 * header) + data[: len(data) - cut if cut < 30 else len(data)])
    for place, value in flips:
        if place < len(damaged):
            damaged[place] = value
    compressed = SimpleNamespace(format=form, data=bytes(damaged))
    packet = SimpleNamespace(encoding=form, data=bytes(damaged), width=7, height=5)
    for read, message in (
        (image_from_compressed, compressed),
        (depth_from_compressed, compressed),
        (CompressedImageReader(), compressed),
        (CompressedImageReader(), packet),
    ):
        image = image_or_sentence(read, message)
        assert isinstance(image, str) or image.size


@pytest.mark.parametrize("encoding", DEPTH)
@MANY
@given(
    height=SIDES,
    width=SIDES,
    padding=st.integers(0, 17),
    seed=st.integers(0, 2**32 - 1),
    big_endian=st.booleans(),
)
def test_any_depth_image_keeps_its_values(
    encoding: str, height: int, width: int, padding: int, seed: int, big_endian: bool
) -> None:
    case = Case(encoding, height, width, seed, big_endian)
    bits = case.values(32 if encoding == "32FC1" else 16, height, width)
    values = bits.view(np.float32) if encoding == "32FC1" else bits
    rows = case.as_bytes(bits)
    step = rows.shape[1] + padding
    message = SimpleNamespace(
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(big_endian),
        step=step,
        data=case.padded(rows, step),
    )
    read = depth_from_image(message)
    assert np.array_equal(read, values, equal_nan=encoding == "32FC1")
    metres = depth_in_metres(read)
    unit = 1 if encoding == "32FC1" else 1000
    measured = np.isfinite(metres)
    with np.errstate(invalid="ignore"):
        assert np.array_equal(measured, (values > 0) & (values <= 10_000 * unit))
    assert np.allclose(metres[measured], values[measured] / unit)
