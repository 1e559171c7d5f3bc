# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Kinds of JPEG, PNG and WebP files, format strings of image_transport, and packets of ffmpeg_image_transport."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.compressed_images import (
    CompressedImageReader,
    depth_from_compressed,
    image_from_compressed,
)
from zs_seg_ros.images.image_limits import ImageLimits
from zs_seg_ros.images.webp import webp_size

RNG = np.random.default_rng(3)
NOISE = RNG.integers(0, 256, (5, 7, 3), np.uint8)
RED = np.full((16, 16, 3), (200, 30, 60), np.uint8)


def compressed(data: bytes, form: str) -> SimpleNamespace:
    return SimpleNamespace(format=form, data=data)


def file(image: PIL.Image.Image, kind: str, **options: Any) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


def of_red(mode: str, kind: str, **options: Any) -> bytes:
    return file(PIL.Image.fromarray(RED).convert(mode), kind, **options)


def read(data: bytes, form: str) -> NDArray[Any]:
    return image_from_compressed(compressed(data, form))


# --- kinds of files ---


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_jpegs_of_every_colour_space_keep_their_colours(mode: str) -> None:
    image = read(of_red(mode, "JPEG", quality=95), "jpeg")
    assert np.abs(image.astype(int) - RED).max() <= 3


@pytest.mark.parametrize(("mode", "kind"), [("L", "JPEG"), ("L", "PNG"), ("LA", "PNG")])
def test_grey_files_have_three_equal_channels(mode: str, kind: str) -> None:
    image = read(of_red(mode, kind), "mono8; jpeg compressed ")
    assert image.shape == (16, 16, 3) and np.abs(image.astype(int) - 84).max() <= 1


@pytest.mark.parametrize("alpha", [0, 255])
def test_transparency_of_a_png_does_not_change_its_colours(alpha: int) -> None:
    pixels = np.dstack([NOISE, np.full((5, 7), alpha, np.uint8)])
    assert np.array_equal(read(file(PIL.Image.fromarray(pixels), "PNG"), "png"), NOISE)


def test_a_palette_of_a_png_becomes_its_colours() -> None:
    palette = PIL.Image.fromarray(NOISE).quantize(64)
    expected = np.asarray(palette.convert("RGB"))
    for options in ({}, {"transparency": 0}):
        assert np.array_equal(read(file(palette, "PNG", **options), "png"), expected)


def test_a_png_of_one_bit_is_black_and_white() -> None:
    pixels = NOISE[..., 0] > 100
    image = read(file(PIL.Image.fromarray(pixels), "PNG"), "png")
    assert np.array_equal(image, np.repeat(pixels[..., None] * np.uint8(255), 3, axis=2))


@pytest.mark.parametrize("form", ["rgb16; png compressed ", "mono16; png compressed ", "png"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_pngs_of_16_bits_are_read_by_their_high_bytes(form: str, shape: tuple[int, ...]) -> None:
    pixels = RNG.integers(0, 2**16, shape, np.uint16)
    image = read(cv2.imencode(".png", pixels)[1].tobytes(), form)
    high = (pixels >> 8).astype(np.uint8).reshape(5, 7, -1)[..., ::-1]
    assert np.array_equal(image, np.broadcast_to(high, (5, 7, 3)))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_lossless_webp_is_read_exactly(mode: str) -> None:
    image = PIL.Image.fromarray(NOISE).convert(mode)
    assert np.array_equal(read(file(image, "WEBP", lossless=True, exact=True), "webp"), NOISE)


def test_a_lossy_webp_keeps_its_colours() -> None:
    image = read(of_red("RGB", "WEBP"), "rgb8; webp compressed ")
    assert np.abs(image.astype(int) - RED).max() <= 6


@given(width=st.integers(1, 300), height=st.integers(1, 300), lossless=st.booleans())
def test_the_size_of_a_webp_is_that_of_its_header(width: int, height: int, lossless: bool) -> None:
    for mode in ("RGB", "RGBA"):
        image = PIL.Image.new(mode, (width, height))
        data = file(image, "WEBP", lossless=lossless, method=0)
        assert webp_size(memoryview(data)) == (width, height)


@pytest.mark.parametrize("lossless", [False, True])
def test_a_large_webp_is_refused_before_it_is_unpacked(lossless: bool) -> None:
    data = file(PIL.Image.new("RGB", (40, 30)), "WEBP", lossless=lossless)
    message = compressed(data, "webp")
    with pytest.raises(ImageError, match=r"40x30 pixels is dropped.*max_image_pixels"):
        image_from_compressed(message, ImageLimits(pixels=1199))
    assert image_from_compressed(message, ImageLimits(pixels=1200)).shape == (30, 40, 3)
    huge = bytearray(file(PIL.Image.new("RGBA", (40, 30)), "WEBP"))
    assert huge[12:16] == b"VP8X"
    huge[24:30] = b"\xfe\x3f\x00\xfe\x3f\x00"  # 16383x16383
    with pytest.raises(ImageError, match=r"16383x16383 pixels is dropped.*max_image_pixels"):
        read(bytes(huge), "webp")


@pytest.mark.parametrize("kept", [10, 29, 31, 60])
def test_a_webp_that_is_cut_off_is_refused(kept: int) -> None:
    data = file(PIL.Image.fromarray(NOISE), "WEBP", lossless=True)
    with pytest.raises(ImageError, match="neither JPEG, PNG nor WebP, or damaged"):
        read(data[:kept], "webp")


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "BMP"])
def test_files_of_other_kinds_are_refused_in_one_sentence(kind: str) -> None:
    form = f"rgb8; {kind.lower()} compressed "
    with pytest.raises(ImageError, match=f"'{form}'.*neither JPEG, PNG nor WebP, or damaged"):
        read(of_red("RGB", kind), form)


@pytest.mark.parametrize("form", ["theora", "h266", "mpeg4", "svt"])
def test_videos_that_are_not_decoded_are_refused_in_one_sentence(form: str) -> None:
    with pytest.raises(ImageError, match=f"'{form}'.*neither JPEG, PNG nor WebP, or damaged"):
        CompressedImageReader()(compressed(b"\x80theora" * 9, form))


# --- format strings ---


@pytest.mark.parametrize(
    "form",
    [
        "",
        "jpeg",
        "jpg",
        "JPEG",
        ".jpg",
        "image/jpeg",
        "mjpeg",
        "rgb8; jpeg compressed bgr8",
        "rgb8;jpeg compressed bgr8",
        "bgr8; jpeg compressed bgr8",
        "bgr8; jpeg compressed ",
        "rgba8; jpeg compressed bgr8",
        "8UC3; jpeg compressed ",
        "yuv422_yuy2; jpeg compressed bgr8",
        "nv12; jpeg compressed bgr8",
        "bayer_rggb8; jpeg compressed bgr8",
        "bayer_rggb8; jpeg compressed rgb8",
        "mono16; jpeg compressed mono8",
    ],
)
def test_format_strings_of_every_publisher_give_the_same_colours(form: str) -> None:
    image = read(of_red("RGB", "JPEG", quality=95), form)
    assert np.abs(image.astype(int) - RED).max() <= 3


def test_a_mosaic_that_was_demosaiced_before_it_was_compressed_is_colour() -> None:
    """Some publishers leave out what they converted to."""
    image = read(of_red("RGB", "PNG"), "bayer_grbg8; png compressed ")
    assert np.array_equal(image, RED)


@pytest.mark.parametrize("form", ["bayer_xyzw8; png compressed ", "bayer_; png compressed "])
def test_an_unknown_mosaic_is_read_as_it_was_compressed(form: str) -> None:
    assert np.array_equal(read(of_red("RGB", "PNG"), form), RED)


# --- ffmpeg_image_transport ---


@dataclass
class FFMPEGPacket:
    """The fields of ffmpeg_image_transport_msgs/msg/FFMPEGPacket."""

    encoding: str
    data: Any
    width: int = 48
    height: int = 32
    pts: int = 0
    flags: int = 0
    is_bigendian: bool = False
    header: SimpleNamespace = field(default_factory=SimpleNamespace)


def packets(encoder: str, greys: tuple[int, ...]) -> list[bytes]:
    context: Any = av.CodecContext.create(encoder, "w")
    context.width, context.height, context.time_base = 48, 32, Fraction(1, 30)
    context.pix_fmt = "yuvj420p" if encoder == "mjpeg" else "yuv420p"
    if encoder == "libx264":
        context.options = {"preset": "ultrafast", "tune": "zerolatency"}
    made = []
    for grey in greys:
        pixels = np.full((32, 48, 3), grey, np.uint8)
        made += context.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24"))
    return [bytes(packet) for packet in made]


@pytest.mark.parametrize("encoding", ["libx264", "h264", "h264_nvenc", "h264;yuv420p;bgr8;rgb8"])
@pytest.mark.parametrize("kind", [bytes, lambda data: np.frombuffer(data, np.uint8)])
def test_packets_of_ffmpeg_image_transport_are_read_in_order(encoding: str, kind: Any) -> None:
    reader, greys = CompressedImageReader(), (40, 90, 200)
    for number, (grey, data) in enumerate(zip(greys, packets("libx264", greys), strict=True)):
        packet = FFMPEGPacket(encoding, kind(data), pts=number, flags=int(number == 0))
        image = reader(packet)
        assert image.shape == (32, 48, 3) and np.abs(image.astype(int) - grey).max() <= 6
    assert reader.reads_video


def test_packets_of_single_jpegs_are_read() -> None:
    reader = CompressedImageReader()
    for grey, data in zip((40, 200), packets("mjpeg", (40, 200)), strict=True):
        image = reader(FFMPEGPacket("mjpeg", data))
        assert image.shape == (32, 48, 3) and np.abs(image.astype(int) - grey).max() <= 6
    assert not reader.reads_video


@pytest.mark.parametrize("encoding", ["prores", "", "hevc_nvenc\n"])
def test_a_packet_of_another_codec_is_refused_in_one_sentence(encoding: str) -> None:
    with pytest.raises(ImageError) as raised:
        CompressedImageReader()(FFMPEGPacket(encoding, b"nothing"))
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("depth", ["16UC1", "32FC1"])
def test_a_video_of_depth_on_a_colour_topic_is_refused(depth: str) -> None:
    [data] = packets("libx264", (40,))
    with pytest.raises(ImageError, match=f"{depth}' is dropped: it is a depth image on a colour"):
        CompressedImageReader()(FFMPEGPacket(f"h264;gray12le;mono16;{depth}", data))


# --- compressedDepth ---


@given(
    values=st.lists(st.integers(0, 2**16 - 1), min_size=6, max_size=6),
    scale=st.floats(1, 1e6, width=32),
    offset=st.floats(-1e5, 1e5, width=32),
)
def test_inverse_depth_is_unpacked_as_the_plugin_does(
    values: list[int], scale: float, offset: float
) -> None:
    """compressed_depth_image_transport: depthQuantA / (value - depthQuantB), in float32; 0 is not measured."""
    quantised = np.array(values, np.uint16).reshape(2, 3)
    data = struct.pack("<iff", 0, scale, offset) + cv2.imencode(".png", quantised)[1].tobytes()
    depth = depth_from_compressed(compressed(data, "32FC1; compressedDepth png"))
    assert depth.dtype == np.float32
    with np.errstate(all="ignore"):
        for have, value in zip(depth.ravel(), values, strict=True):
            if value == 0:
                assert np.isnan(have)
            else:
                assert have == np.float32(scale) / (np.float32(value) - np.float32(offset))
