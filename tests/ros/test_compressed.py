# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""JPEG, PNG and compressedDepth to images and depth."""

from __future__ import annotations

import struct
from array import array
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage

from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.compressed_images import (
    CompressedImageReader,
    depth_from_compressed,
    image_from_compressed,
)
from zs_seg_ros.images.image_limits import ImageLimits

RANDOM = np.random.default_rng(7)
IMAGE = RANDOM.integers(0, 256, (5, 4, 3), dtype=np.uint8)
DEPTH_MM = np.array([[0, 500, 501, 499], [1200, 0, 0, 65535], [1, 2, 40000, 0]], np.uint16)


def message(data: bytes, encoding: str) -> CompressedImage:
    return CompressedImage(format=encoding, data=array("B", data))


def encoded(pixels: NDArray[np.generic], suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, np.ascontiguousarray(pixels))[1].tobytes()


def depth_message(
    data: bytes, encoding: str, scale: float = 0, offset: float = 0
) -> CompressedImage:
    return message(struct.pack("<iff", 0, scale, offset) + data, encoding)


# --- images ---


def test_a_compressed_image_is_rgb() -> None:
    assert (image_from_compressed(message(encoded(IMAGE[..., ::-1]), "png")) == IMAGE).all()
    smooth = np.full((16, 16, 3), (200, 30, 60), np.uint8)
    jpeg = image_from_compressed(
        message(encoded(smooth[..., ::-1], ".jpg"), "rgb8; jpeg compressed")
    )
    assert np.abs(jpeg.astype(int) - smooth).max() < 8


def test_orientation_in_a_jpeg_does_not_turn_it() -> None:
    import io

    import PIL.Image

    upright = PIL.Image.new("RGB", (20, 10))
    exif = upright.getexif()
    exif[0x0112] = 6  # to be shown turned by a quarter
    file = io.BytesIO()
    upright.save(file, "JPEG", exif=exif)
    assert image_from_compressed(message(file.getvalue(), "jpeg")).shape == (10, 20, 3)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_damaged_image_is_refused_in_one_sentence(suffix: str) -> None:
    whole = encoded(RANDOM.integers(0, 256, (40, 40, 3), dtype=np.uint8), suffix)
    for data in (b"", b"nonsense", whole[:20], whole[4:]):
        with pytest.raises(ImageError, match="neither JPEG, PNG nor WebP, or damaged"):
            image_from_compressed(message(data, suffix))


def test_an_image_that_claims_to_be_huge_is_refused_before_it_is_unpacked() -> None:
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(
        ">I4sII5B", 13, b"IHDR", 2**20, 2**20, 8, 2, 0, 0, 0
    )
    with pytest.raises(ImageError):
        image_from_compressed(message(header + encoded(IMAGE)[33:], "png"))
    with pytest.raises(ImageError, match="4x5 pixels is dropped: its sides may be at most 4"):
        image_from_compressed(message(encoded(IMAGE), "png"), ImageLimits(side=4))


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.98])
def test_a_jpeg_that_is_cut_off_is_refused_as_such(kept: float) -> None:
    whole = encoded(RANDOM.integers(0, 256, (40, 40, 3), dtype=np.uint8), ".jpg")
    with pytest.raises(ImageError, match="40x40 pixels is dropped: it is cut off after"):
        image_from_compressed(message(whole[: int(kept * len(whole))], "jpeg"))


def test_a_jpeg_with_a_trailer_is_read() -> None:
    whole = encoded(RANDOM.integers(0, 256, (40, 40, 3), dtype=np.uint8), ".jpg")
    assert image_from_compressed(message(whole + bytes(300), "jpeg")).shape == (40, 40, 3)


def test_a_small_jpeg_that_claims_many_pixels_is_refused_unread() -> None:
    whole = bytearray(encoded(np.zeros((8, 8, 3), np.uint8), ".jpg"))
    at = whole.index(b"\xff\xc0") + 5  # of the sides, in the header of the frame
    for height, width, words in (
        (13300, 13300, "max_image_pixels"),
        (4000, 4000, "4000x4000 pixels is dropped.*max_image_pixels"),
        (3000, 4000, "4000x3000 pixels is dropped: it is cut off"),
    ):
        whole[at : at + 4] = struct.pack(">HH", height, width)
        with pytest.raises(ImageError, match=words):
            image_from_compressed(message(bytes(whole), "jpeg"))


def test_a_mosaic_that_was_compressed_as_it_is_becomes_colour() -> None:
    red_alone = np.zeros((32, 32), np.uint8)
    red_alone[::2, ::2] = 240
    for suffix, form in ((".png", "png"), (".jpg", "jpeg")):
        data = encoded(red_alone, suffix)
        mosaic = image_from_compressed(message(data, f"bayer_rggb8; {form} compressed "))
        red, green, blue = mosaic[8:24, 8:24].reshape(-1, 3).mean(axis=0)
        assert red > 180 and green < 60 and blue < 60
        converted = image_from_compressed(message(data, f"bayer_rggb8; {form} compressed bgr8"))
        assert np.ptp(converted, axis=2).max() == 0  # grey: it says that it was converted before


def test_a_16_bit_mosaic_as_png_keeps_its_16_bits() -> None:
    mosaic = RANDOM.integers(0, 2**16, (6, 6), dtype=np.uint16)
    read = image_from_compressed(message(encoded(mosaic), "bayer_grbg16; png compressed "))
    assert np.array_equal(read, cv2.cvtColor(mosaic, cv2.COLOR_BayerGB2RGB))


@pytest.mark.parametrize("form", ["16UC1; png compressed ", "32FC1; png compressed "])
def test_depth_on_a_colour_topic_is_refused(form: str) -> None:
    with pytest.raises(ImageError, match="depth image on a colour topic"):
        image_from_compressed(message(encoded(DEPTH_MM), form))


def video_of(*greys: int) -> list[CompressedImage]:
    """One message for each frame; the first one is the only keyframe."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuv444p"
    encoder.time_base = Fraction(1, 30)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "10"}
    frames = [np.full((48, 64, 3), grey, np.uint8) for grey in greys]
    packets = [encoder.encode(av.VideoFrame.from_ndarray(f, format="rgb24")) for f in frames]
    return [message(bytes(packet), "h264") for [packet] in packets]


def test_a_video_stream_in_compressed_images_is_read_in_order() -> None:
    read = CompressedImageReader()
    assert not read.reads_video
    for grey, packet in zip((40, 80, 120), video_of(40, 80, 120), strict=True):
        assert np.abs(read(packet).astype(int) - grey).max() < 6
        assert read.reads_video
    assert (read(message(encoded(IMAGE[..., ::-1]), "png")) == IMAGE).all()
    assert not read.reads_video


def test_after_packets_that_were_skipped_a_keyframe_is_awaited() -> None:
    read = CompressedImageReader()
    first, _, third = video_of(40, 80, 120)
    read(first)
    read.skip()
    with pytest.raises(ImageError, match="while a keyframe is awaited"):
        read(third)
    assert np.abs(read(first).astype(int) - 40).max() < 6


@given(st.binary(max_size=200))
def test_whatever_comes_is_an_image_or_an_image_error(data: bytes) -> None:
    with pytest.raises(ImageError):
        image_from_compressed(message(data, "jpeg"))


# --- depth ---


def rvl(depth: NDArray[np.uint16]) -> bytes:
    """Written from the paper (Wilson 2017), number by number."""
    nibbles: list[int] = []

    def put(number: int) -> None:
        while True:
            number, low = number >> 3, number & 7
            nibbles.append(low | (8 if number else 0))
            if not number:
                return

    values, at, before = depth.ravel().tolist(), 0, 0
    while at < len(values):
        start = at
        while at < len(values) and not values[at]:
            at += 1
        put(at - start)
        start = at
        while at < len(values) and values[at]:
            at += 1
        put(at - start)
        for value in values[start:at]:
            difference, before = value - before, value
            put(2 * difference if difference >= 0 else -2 * difference - 1)
    nibbles += [0] * (-len(nibbles) % 8)
    words = [
        int("".join(f"{n:x}" for n in nibbles[i : i + 8]), 16) for i in range(0, len(nibbles), 8)
    ]
    height, width = depth.shape
    return struct.pack(f"<II{len(words)}I", width, height, *words)


@pytest.mark.parametrize(
    ("compress", "encoding"),
    [
        (encoded, "16UC1; compressedDepth png"),
        (encoded, "16UC1; compressedDepth"),
        (encoded, "16UC1"),
        (rvl, "16UC1; compressedDepth rvl"),
    ],
)
def test_millimetres_come_back_as_they_were(compress: object, encoding: str) -> None:
    assert callable(compress)
    found = depth_from_compressed(depth_message(compress(DEPTH_MM), encoding))
    assert found.dtype == np.uint16 and (found == DEPTH_MM).all()


@given(arrays.arrays(np.uint16, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_rvl_comes_back_as_it_was(depth: NDArray[np.uint16]) -> None:
    found = depth_from_compressed(depth_message(rvl(depth), "16UC1; compressedDepth rvl"))
    assert found.shape == depth.shape and (found == depth).all()


@pytest.mark.parametrize(("compress", "how"), [(encoded, "png"), (rvl, "rvl")])
def test_metres_are_inverse_depth(compress: object, how: str) -> None:
    """As image_transport quantises them, with its default of 100 and 10 m."""
    assert callable(compress)
    metres = np.array([[0.5, 1.0, np.nan], [9.0, 2.25, 20.0]], np.float32)
    scale = 100 * 101.0
    offset = 1 - scale / 10
    inverse = np.where(metres < 10, scale / np.nan_to_num(metres, nan=1e9) + offset, 0)
    data = compress(np.nan_to_num(inverse).astype(np.uint16))
    found = depth_from_compressed(
        depth_message(data, f"32FC1; compressedDepth {how}", scale, offset)
    )
    assert found.dtype == np.float32
    known = metres < 10
    assert np.isnan(found[~known]).all()
    np.testing.assert_allclose(found[known], metres[known], rtol=0.01)


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (message(b"short", "16UC1; compressedDepth png"), "5 bytes with the format"),
        (depth_message(encoded(DEPTH_MM), "16UC1; zstd"), "'16UC1; zstd' is dropped"),
        (depth_message(encoded(DEPTH_MM), "rgb8; compressedDepth png"), "publish 16UC1 or 32FC1"),
        (depth_message(encoded(IMAGE), "16UC1; compressedDepth png"), "not 16 bits and one channel"),
        (depth_message(b"nonsense", "16UC1; compressedDepth png"), "damaged"),
        (depth_message(b"", "16UC1; compressedDepth rvl"), "its RVL is damaged"),
        (depth_message(rvl(DEPTH_MM)[:-4], "16UC1; compressedDepth rvl"), "its RVL is damaged"),
        (depth_message(b"\x04\0\0\0" * 2 + b"\xff" * 40, "16UC1; compressedDepth rvl"), "damaged"),
        (depth_message(b"\xff" * 8, "16UC1; compressedDepth rvl"), "may be at most"),
    ],
)  # fmt: skip
def test_damaged_depth_is_refused_in_one_sentence(damaged: CompressedImage, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        depth_from_compressed(damaged)


@given(st.binary(max_size=60), st.sampled_from(["png", "rvl"]))
def test_whatever_comes_is_depth_or_an_image_error(data: bytes, how: str) -> None:
    try:
        depth = depth_from_compressed(depth_message(data, f"16UC1; compressedDepth {how}"))
    except ImageError:
        return
    assert depth.ndim == 2 and depth.dtype == np.uint16
