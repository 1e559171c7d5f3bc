# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Small bags for tests: squares in colours that the model fake detects, and depth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bag_messages import (
    HEIGHT,
    START_NS,
    STEP_NS,
    WIDTH,
    BagWriter,
    camera_info,
    compressed,
    compressed_depth,
    image_message,
    new,
)
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin

from zs_seg_ros.segmenters.fake import PALETTE

SHIPPED_BAG = Path(__file__).resolve().parents[1] / "recordings" / "tabletop"


@dataclass(frozen=True)
class Camera:
    """The messages to record of a camera.

    depth_late_ns: how much later depth is recorded than its image. without_depth: numbers of images without depth.
    depth_images: compressed depth images on the topic of the images.
    """

    name: str = "camera"
    compressed: bool = False
    depth: bool = False
    compressed_depth: bool = False
    depth_late_ns: int = 0
    without_depth: tuple[int, ...] = ()
    stamp_late_ns: int = 0
    depth_images: bool = False


def image(number: int) -> NDArray[np.uint8]:
    """Draw (H, W, 3): grey, with a red and a blue square that move; the red one is a little off the palette colour."""
    pixels = np.full((HEIGHT, WIDTH, 3), PALETTE["grey"], np.uint8)
    pixels[8:24, 4 + number % 20 : 20 + number % 20] = np.array(PALETTE["red"]) - 25
    pixels[28:42, 46 - number % 20 : 60 - number % 20] = PALETTE["blue"]
    return pixels


def write_bag(
    folder: Path,
    *cameras: Camera,
    frames: int = 8,
    storage: StoragePlugin = StoragePlugin.MCAP,
    extra_topic: str = "",
) -> Path:
    """Write a bag with the messages of all cameras, in the order of their times."""
    messages = []
    for camera in cameras or (Camera(),):
        for number in range(frames):
            time_ns = START_NS + number * STEP_NS
            messages += [
                (time_ns + late_ns, topic, message)
                for late_ns, topic, message in _messages(camera, number, time_ns)
            ]
    if extra_topic:
        messages.append((START_NS, extra_topic, new("std_msgs/msg/String", data="text")))
    with BagWriter(folder, storage) as bag:
        for time_ns, topic, message in sorted(messages, key=lambda entry: entry[0]):
            bag.write(topic, time_ns, message)
    return folder


def _messages(camera: Camera, number: int, time_ns: int) -> list[tuple[int, str, Any]]:
    """Return the messages of one frame, as (recording delay in ns, topic, message)."""
    name, stamp_ns = camera.name, time_ns + camera.stamp_late_ns
    if camera.depth_images:
        depth = np.full((HEIGHT, WIDTH), 1000, np.uint16)
        encoded = compressed_depth(depth, stamp_ns, "png compressed ")
        return [(0, f"/{name}/image_raw/compressed", encoded)]
    if camera.compressed:
        image_of_frame = compressed(image(number), stamp_ns, ".png")
        messages = [(0, f"/{name}/image_raw/compressed", image_of_frame)]
    else:
        messages = [(0, f"/{name}/image_raw", image_message(image(number), stamp_ns))]
    if camera.depth:
        messages.append((camera.depth_late_ns, f"/{name}/camera_info", camera_info(stamp_ns)))
    if camera.depth and number not in camera.without_depth:
        depth = np.full((HEIGHT, WIDTH), 1000 + 10 * number, np.uint16)
        late = camera.depth_late_ns
        if camera.compressed_depth:
            topic = f"/{name}/depth/image_raw/compressedDepth"
            messages.append((late, topic, compressed_depth(depth, stamp_ns, "compressedDepth png")))
        else:
            messages.append(
                (late, f"/{name}/depth/image_raw", image_message(depth, stamp_ns, "16UC1"))
            )
    return messages
