# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What a hostile camera publishes: raw, compressed and depth images, and camera_info. All are dropped or read."""

from __future__ import annotations

import io
import math
import struct
import time
import zlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
from attack import Attack
from node_target import NodeTarget, good_info, node_target, wait_for_state
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

COUNT = 520
SIDES = (0, 1, 2, 3, 24, 32, 255, 4096, 16384, 16385, 65535, 2**31 - 1, 2**31, 2**32 - 1)
ENCODINGS = (
    "rgb8", "bgr8", "rgba8", "mono8", "mono16", "16UC1", "32FC1", "8UC3", "bayer_rggb8", "yuv422", "nv21",
    "", "64FC4", "rgb8\n[ERROR] [zs_seg]: forged", "\x1b[2J\x1b]0;title\x07", "\u202e8bgr", "x" * 5_000_000,
)  # fmt: skip
FORMATS = (
    "jpeg", "png", "", "rgb8; jpeg compressed bgr8", "bayer_rggb8; png compressed ", "h264", "h265", "av1", "gif",
    "16UC1; compressedDepth png", "\x1b[31mjpeg", "jpeg\n[FATAL] forged", "j" * 1_000_000,
)  # fmt: skip
REALS = (0.0, 1.0, -1.0, 1e-300, 1e300, math.nan, math.inf, -math.inf)


@contextmanager
def target(work: Path, _: dict[str, Path]) -> Iterator[NodeTarget]:
    parameters = (
        "classes:=[red]", "cameras:=[raw, packed]", "raw.depth:=true", "packed.transport:=compressed",
        "packed.depth:=true", "packed.depth_transport:=compressed",
    )  # fmt: skip
    with node_target(work, *parameters) as node:
        wait_for_state(node, "active")
        node.listen("raw")
        node.listen("packed")
        yield node


def sends(topic: str, message: Any) -> Any:
    """Return an attack that publishes a message and then checks that a good image is answered."""

    def act(node: NodeTarget) -> str:
        node.publish(topic, message)
        time.sleep(0.01)
        packed = topic.startswith("/packed")
        return node.good_image("packed" if packed else "raw", packed)

    return act


def attacks(random: Random, _: Path, __: dict[str, Path]) -> Iterator[Attack]:
    for name, data in bombs().items():
        topic = "/packed/image_raw/compressed"
        yield Attack(f"bomb {name}", sends(topic, _compressed(data, "jpeg")))
        depth = _compressed(bytes(12) + data, "16UC1; compressedDepth png")
        yield Attack(f"depth bomb {name}", sends("/packed/depth/image_raw/compressedDepth", depth))
    for side in (4096, 16384, 65535, 2**31 - 1):
        rvl = bytes(12) + struct.pack("<II", side, side) + bytes(8)
        yield Attack(
            f"rvl of {side}",
            sends(
                "/packed/depth/image_raw/compressedDepth",
                _compressed(rvl, "16UC1; compressedDepth rvl"),
            ),
        )
    for number in range(COUNT - 16):
        kind, topic, message = random.choice((_raw, _packed, _depth, _packed_depth, _info))(random)
        yield Attack(f"{kind} {number}", sends(topic, message))


def bombs() -> dict[str, bytes]:
    """Small files that claim many pixels."""
    jpeg = bytearray(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 13300, 13300)
    return {
        "jpeg of 13300": bytes(jpeg),
        "png of 16000": png(16000, 8, bytes(1 << 20)),
        "png of 2^31": png(2**31 - 1, 16, b"\0"),
        "png of 3500": png(3500, 16, bytes(3500 * (3500 * 2 + 1))),
    }


def png(side: int, bits: int, pixels: bytes) -> bytes:
    """A grey PNG that claims side x side pixels."""
    data = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", side, side, bits, 0, 0, 0, 0)
    for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")):
        data += struct.pack(">I", len(content)) + kind + content
        data += struct.pack(">I", zlib.crc32(kind + content))
    return data


def _header(random: Random) -> Header:
    header = Header(frame_id=random.choice(("optical", "", "\x1b[5m", "a\nb", "f" * 10_000)))
    header.stamp.sec = random.choice((0, 1, -1, 2**31 - 1, -(2**31), int(time.time())))
    header.stamp.nanosec = random.choice((0, 10**9 - 1, 10**9, 2**32 - 1))
    return header


def _image(random: Random, encodings: tuple[str, ...]) -> Image:
    height, width = random.choice(SIDES), random.choice(SIDES)
    if random.random() < 0.5:
        height, width = random.randint(0, 40), random.randint(0, 40)
    message = Image(height=height, width=width, encoding=random.choice(encodings))
    message.step = (
        random.choice((0, 1, width, 3 * width + 5, 2 * width, 3 * width, 2**32 - 1)) % 2**32
    )
    size = random.choice((0, 1, 7, 96, 2304, height * message.step))
    message.data = array("B", random.randbytes(min(size, 1 << 20)))
    message.is_bigendian = random.choice((0, 1, 255))
    message.header = _header(random)
    return message


def _raw(random: Random) -> tuple[str, str, Any]:
    return "raw image", "/raw/image_raw", _image(random, ENCODINGS)


def _depth(random: Random) -> tuple[str, str, Any]:
    message = _image(random, ("16UC1", "32FC1", "mono16", *ENCODINGS[-4:]))
    if random.random() < 0.5:
        values = np.array([random.choice(REALS) for _ in range(24 * 32)], np.float64)
        with np.errstate(over="ignore"):
            data = values.astype("<f4").tobytes()
        message.height, message.width, message.step, message.encoding = 24, 32, 128, "32FC1"
        message.data = array("B", data)
    return "depth image", "/raw/depth/image_raw", message


def _damaged(random: Random) -> bytes:
    pixels = np.frombuffer(random.randbytes(24 * 32 * 3), np.uint8).reshape(24, 32, 3)
    data = bytearray(cv2.imencode(random.choice((".jpg", ".png")), pixels)[1].tobytes())
    for _ in range(random.randint(0, 8)):
        data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data[: random.choice((len(data), random.randrange(len(data))))])


def _packed(random: Random) -> tuple[str, str, Any]:
    message = _compressed(_damaged(random), random.choice(FORMATS))
    message.header = _header(random)
    return "compressed image", "/packed/image_raw/compressed", message


def _packed_depth(random: Random) -> tuple[str, str, Any]:
    form = random.choice(("16UC1", "32FC1", "rgb8", "\x1b[2J")) + random.choice(
        ("; compressedDepth png", "; compressedDepth rvl", "; compressedDepth", "", "; ;")
    )
    head = struct.pack(
        "<iff", 0, random.choice((0.0, 1.0, math.nan)), random.choice((0.0, math.inf))
    )
    data = random.choice((_damaged(random), random.randbytes(random.randrange(64))))
    message = _compressed(head[: random.choice((12, 12, 5))] + data, form)
    return "compressed depth", "/packed/depth/image_raw/compressedDepth", message


def _info(random: Random) -> tuple[str, str, Any]:
    info: CameraInfo = good_info()
    info.k = random.choice(
        (
            [0.0] * 9,
            [math.nan] * 9,
            [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            [random.choice(REALS) for _ in range(9)],
        )
    )
    info.d = [random.choice(REALS) for _ in range(random.choice((0, 4, 5, 8, 14, 1000)))]
    info.distortion_model = random.choice(
        ("plumb_bob", "equidistant", "", "\x1b[2J", "m" * 100_000)
    )
    info.height, info.width = random.choice(SIDES), random.choice(SIDES)
    return "camera_info", random.choice(("/raw", "/packed")) + "/camera_info", info


def _compressed(data: bytes, form: str) -> CompressedImage:
    return CompressedImage(format=form, data=array("B", io.BytesIO(data).getvalue()))
