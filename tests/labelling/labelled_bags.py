# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Small bags to label, and functions to read them and the results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from bag_messages import HEIGHT, START_NS, STEP_NS, STORE, WIDTH, BagWriter, image_message, new
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin
from rosbags.typesys import get_types_from_msg

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.labelling.plan import LabelRequest
from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.segmenters.fake import PALETTE
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

VOCABULARY = Vocabulary().changed_to([TargetClass("red box"), TargetClass("blue box")])
STRANGE_TYPE = "elsewhere_msgs/msg/Strange"
STORE.register(get_types_from_msg("uint8 a\nfloat64[2] b\nstring c\n", STRANGE_TYPE))


def request(out: Path, *bags: Path, **changes: Any) -> LabelRequest:
    """Return a request with the fake model and small slices."""
    settings = Settings(min_area=changes.pop("min_area", 10))
    fields: dict[str, Any] = {
        "vocabulary": VOCABULARY,
        "model": "fake",
        "options": LoadOptions("cpu"),
    }
    fields |= {"settings": settings, "frames_per_slice": 7, "batch": 3} | changes
    return LabelRequest(bags=bags, out=out, **fields)


def image(number: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> NDArray[np.uint8]:
    """Draw (H, W, 3): a red rectangle moves to the right, and a blue one is absent for 5 of every 20."""
    pixels = np.full((*size, 3), PALETTE["white"], np.uint8)
    left = 2 + number % (size[1] // 2)
    pixels[10:22, left : left + 12] = PALETTE["red"]
    if number % 20 < 15:
        pixels[30:42, 40:55] = PALETTE["blue"]
    return pixels


def strange(number: int) -> Any:
    return new(STRANGE_TYPE, a=number % 256, b=np.array([0.5, number]), c="text")


def small_bag(
    folder: Path,
    frames: int = 40,
    cameras: tuple[str, ...] = ("camera",),
    storage: StoragePlugin = StoragePlugin.MCAP,
    size: tuple[int, int] = (HEIGHT, WIDTH),
) -> Path:
    """Write `frames` images of each camera, and as many messages of a type that ROS 2 does not define."""
    with BagWriter(folder, storage) as bag:
        for number in range(frames):
            time_ns = START_NS + number * STEP_NS
            bag.write("/strange", time_ns, strange(number))
            for place, name in enumerate(cameras):
                pixels = image(number + 5 * place, size)
                # Recorded somewhat after the stamp, as always.
                bag.write(
                    f"/{name}/image_raw",
                    time_ns + 1000 * place + 700,
                    image_message(pixels, time_ns),
                )
    return folder


Content = list[tuple[str, int, bytes]]


def content(folder: Path) -> Content:
    """Topic, time and bytes of all messages, in order."""
    with Bag(folder) as bag:
        return [(m.topic.name, m.time_ns, bytes(m.serialised)) for m in bag.messages()]


def messages(folder: Path, topic: str) -> list[Any]:
    with Bag(folder) as bag:
        return [message.content for message in bag.messages([topic])]


def pixels_of(message: Any) -> NDArray[Any]:
    item = np.uint8 if message.encoding == "mono8" else np.uint16
    pixels: NDArray[Any] = message.data.view(item).reshape(message.height, message.width)
    return pixels
