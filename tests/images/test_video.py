# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Video streams are decoded packet by packet, from the first keyframe on."""

from __future__ import annotations

import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.video import VideoDecoder, video_codec

MAX_PIXELS = 4096 * 3072
HEIGHT, WIDTH = 48, 64


def frame(number: int) -> NDArray[np.uint8]:
    image = np.full((HEIGHT, WIDTH, 3), (40, 90, 160), np.uint8)
    image[16:32, 4 + 2 * number : 20 + 2 * number] = (220, 60, 40)
    return image


def packets(count: int, keyframe_every: int = 8) -> list[bytes]:
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv444p"
    encoder.time_base = Fraction(1, 30)
    encoder.gop_size = keyframe_every
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "10"}
    made = []
    for number in range(count):
        made += encoder.encode(av.VideoFrame.from_ndarray(frame(number), format="rgb24"))
    made += encoder.encode(None)
    return [bytes(packet) for packet in made]


def test_each_packet_gives_its_own_image() -> None:
    decoder = VideoDecoder("h264")
    for number, packet in enumerate(packets(12)):
        image = decoder.decode(packet, MAX_PIXELS)
        assert image.shape == (HEIGHT, WIDTH, 3) and image.dtype == np.uint8
        assert np.abs(image.astype(int) - frame(number)).mean() < 4


def test_a_stream_that_is_joined_late_begins_with_the_next_keyframe() -> None:
    decoder, stream = VideoDecoder("h264"), packets(20, keyframe_every=8)
    decoded = []
    for number, packet in enumerate(stream[3:], start=3):
        try:
            image = decoder.decode(packet, MAX_PIXELS)
        except ImageError:
            continue
        decoded.append(number)
        assert np.abs(image.astype(int) - frame(number)).mean() < 4
    assert decoded == list(range(8, 20))


@pytest.mark.parametrize(
    "damaged",
    [b"", b"\0", b"no video at all" * 20, bytes(200)],
    ids=["empty", "short", "text", "zeros"],
)
def test_a_damaged_packet_is_an_image_error_and_the_next_keyframe_works(damaged: bytes) -> None:
    decoder, stream = VideoDecoder("h264"), packets(9, keyframe_every=8)
    decoder.decode(stream[0], MAX_PIXELS)
    with pytest.raises(ImageError, match="keyframe"):
        decoder.decode(damaged, MAX_PIXELS)
    image = decoder.decode(stream[8], MAX_PIXELS)
    assert np.abs(image.astype(int) - frame(8)).mean() < 4


def test_a_stream_with_too_many_pixels_is_refused() -> None:
    with pytest.raises(ImageError):
        VideoDecoder("h264").decode(packets(1)[0], WIDTH * HEIGHT - 1)
    assert VideoDecoder("h264").decode(packets(1)[0], WIDTH * HEIGHT).shape == (HEIGHT, WIDTH, 3)
    decoder = VideoDecoder("h264")
    decoder.decode(packets(1)[0], MAX_PIXELS)
    with pytest.raises(ImageError, match=f"{WIDTH}x{HEIGHT}.*max_image_pixels"):
        decoder.decode(packets(1)[0], WIDTH * HEIGHT - 1)


def test_without_pyav_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImageError, match="pip install av"):
        VideoDecoder("h264")


@pytest.mark.parametrize(
    ("form", "codec"),
    [
        ("h264", "h264"),
        ("H264", "h264"),
        ("h264; yuv420p", "h264"),
        ("hevc", "hevc"),
        ("libx264", "h264"),
        ("h264_nvenc", "h264"),
        ("hevc_vaapi;yuv420p", "hevc"),
        ("av1", "av1"),
        ("jpeg", None),
        ("rgb8; jpeg compressed bgr8", None),
        ("png", None),
        ("", None),
    ],
)
def test_formats_name_their_codec(form: str, codec: str | None) -> None:
    assert video_codec(form) == codec
