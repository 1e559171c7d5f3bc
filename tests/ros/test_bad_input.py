# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Bad input never ends the node: it is dropped, diagnostics say why, and the next good message works."""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pytest
from planner import Planner, image_message, pixels, running_node, stamp, stripes, values
from sensor_msgs.msg import CompressedImage, Image

IMAGE = stripes("red", "blue")  # 32x24
UINT32_MAX = 2**32 - 1


@dataclass(frozen=True)
class Bad:
    """A good image with some fields wrong, and what diagnostics must say about it."""

    words: str
    fields: dict[str, Any]
    nanosec: int | None = None

    def message(self) -> Image:
        message = image_message(IMAGE)
        for name, value in self.fields.items():
            setattr(message, name, value)
        if self.nanosec is not None:
            message.header.stamp.nanosec = self.nanosec
        return message


BAD_IMAGES = {
    "no data": Bad("0 bytes are fewer", {"data": array("B")}),
    "data too short": Bad("2303 bytes are fewer", {"data": array("B", bytes(2303))}),
    "step too small": Bad("step of 95 bytes is less than a row of 96", {"step": 95}),
    "step 0": Bad("step of 0 bytes", {"step": 0}),
    "step beyond the data": Bad("fewer", {"step": UINT32_MAX}),
    "height 0": Bad("32x0", {"height": 0}),
    "width 0": Bad("0x24", {"width": 0}),
    "nothing at all": Bad("0x0", {"height": 0, "width": 0, "step": 0, "data": array("B")}),
    "an absurd size": Bad("65535x65535", {"height": 65535, "width": 65535}),
    "-1 as an unsigned size": Bad(f"{UINT32_MAX}", {"height": UINT32_MAX, "width": UINT32_MAX}),
    "a size that overflows 32 bits": Bad("65536x65536", {"height": 65536, "width": 65536}),
    "a large size within the limit": Bad("16384x16384", {"height": 16384, "width": 16384}),
    "an unknown encoding": Bad("'rgb9'", {"encoding": "rgb9"}),
    "an empty encoding": Bad("encoding ''", {"encoding": ""}),
    "an encoding of any text": Bad("'röd/☃'", {"encoding": "röd/☃"}),
    "depth as colour": Bad("depth image on a colour topic", {"encoding": "16UC1", "width": 16}),
    "metres as colour": Bad("depth image on a colour topic", {"encoding": "32FC1", "width": 8}),
    "more bytes a pixel than there are": Bad("rgba8", {"encoding": "rgba8"}),
    "a stamp of 1 s in nanoseconds": Bad("1000000000 nanoseconds", {}, nanosec=10**9),
    "a stamp of -1 ns": Bad(f"{UINT32_MAX} nanoseconds", {}, nanosec=UINT32_MAX),
}


@pytest.fixture(scope="module")
def planner() -> Iterator[Planner]:
    """One node for all of them, with both transports: it must outlive each."""
    parameters = {
        "classes": ["red", "blue"],
        "cameras": ["camera", "jpeg"],
        "jpeg.transport": "compressed",
    }
    with running_node(parameters) as planner:
        yield planner


def assert_dropped(planner: Planner, bad: Image | CompressedImage, camera: str, words: str) -> None:
    received = planner.outputs(camera=camera)
    before = len(received)
    planner.send(bad, camera)
    status = planner.diagnosis_saying(camera, words, "dropped")
    assert status.level > status.OK
    assert int(values(status)["frames refused"]) > 0
    assert len(received) == before
    assert planner.state == "active"


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_a_malformed_image_is_dropped_and_the_next_good_one_works(
    planner: Planner, kind: str
) -> None:
    bad = BAD_IMAGES[kind]
    assert_dropped(planner, bad.message(), "camera", bad.words)
    assert planner.label_of(IMAGE)[0, ::16].tolist() == [1, 2]


def compressed(data: bytes, format_: str = "jpeg") -> CompressedImage:
    message = CompressedImage(format=format_, data=array("B", data))
    stamp(message, image_message(IMAGE).header.stamp.nanosec)
    return message


def encoded(extension: str) -> bytes:
    return bytes(cv2.imencode(extension, np.ascontiguousarray(IMAGE[..., ::-1]))[1])


def png_of_claimed_size(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


BAD_COMPRESSED = {
    "no data": b"",
    "not an image": b"this is no image" * 50,
    "a JPEG's start alone": encoded(".jpg")[:100],
    "a JPEG full of holes": encoded(".jpg")[:20] + bytes(500),
    "half a PNG": encoded(".png")[: len(encoded(".png")) // 2],
    "a PNG that claims an absurd size": png_of_claimed_size(65535, 65535),
    "a PNG that claims a size above the limit": png_of_claimed_size(20_000, 10),
}


@pytest.mark.parametrize("kind", BAD_COMPRESSED)
def test_a_damaged_compressed_image_is_dropped_and_the_next_good_one_works(
    planner: Planner, kind: str
) -> None:
    assert_dropped(planner, compressed(BAD_COMPRESSED[kind]), "jpeg", "")
    for extension in (".jpg", ".png"):
        answer = planner.answer_to(compressed(encoded(extension), extension[1:]), camera="jpeg")
        assert pixels(answer)[0, 4::16].tolist() == [1, 2]


@pytest.mark.parametrize("offset_s", [-3600, 0, 3600], ids=["backwards", "repeated", "ahead"])
def test_odd_stamps_work_and_come_back_unchanged(planner: Planner, offset_s: int) -> None:
    first, second = image_message(IMAGE), image_message(IMAGE)
    planner.answer_to(first)
    second.header.stamp.nanosec = first.header.stamp.nanosec
    second.header.stamp.sec = first.header.stamp.sec + offset_s
    labels = planner.outputs()
    before = len(labels)
    planner.send(second)
    label = planner.wait_for_more(labels, before)[-1]
    assert label.header == second.header


def test_a_stamp_before_the_epoch_comes_back_unchanged(planner: Planner) -> None:
    message = image_message(IMAGE)
    message.header.stamp.sec, message.header.stamp.nanosec = -2, 999_999_999
    assert planner.answer_to(message).header == message.header
