# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Builds messages without ROS, and writes bags of them, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

START_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000
HEIGHT, WIDTH = 48, 64
STORE = get_typestore(Stores.ROS2_JAZZY)


def new(message_type: str, **fields: Any) -> Any:
    return STORE.types[message_type](**fields)


def header(time_ns: int, frame_id: str = "optical") -> Any:
    stamp = new("builtin_interfaces/msg/Time", sec=time_ns // 10**9, nanosec=time_ns % 10**9)
    return new("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def image_message(
    pixels: NDArray[Any], time_ns: int, encoding: str = "rgb8", **changes: Any
) -> Any:
    fields: dict[str, Any] = {
        "header": header(time_ns),
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "encoding": encoding,
        "is_bigendian": 0,
        "step": pixels.nbytes // pixels.shape[0],
        "data": pixels.reshape(-1).view(np.uint8),
    }
    return new("sensor_msgs/msg/Image", **fields | changes)


def compressed(pixels: NDArray[np.uint8], time_ns: int, suffix: str) -> Any:
    """Return a CompressedImage. suffix: .png or .jpg."""
    data = cv2.imencode(suffix, pixels[..., ::-1])[1].reshape(-1)
    return _compressed(data, time_ns, suffix.strip("."))


def compressed_depth(depth_mm: NDArray[np.uint16], time_ns: int, transport: str) -> Any:
    """Return a CompressedImage of depth. transport: the second part of its format, after the encoding."""
    header_bytes = np.zeros(12, np.uint8)  # compressedDepth's header, unused for 16UC1
    data = np.concatenate([header_bytes, cv2.imencode(".png", depth_mm)[1].reshape(-1)])
    return _compressed(data, time_ns, f"16UC1; {transport}")


def _compressed(data: NDArray[np.uint8], time_ns: int, kind: str) -> Any:
    return new("sensor_msgs/msg/CompressedImage", header=header(time_ns), format=kind, data=data)


def camera_info(time_ns: int) -> Any:
    matrix = [60.0, 0.0, WIDTH / 2, 0.0, 60.0, HEIGHT / 2, 0.0, 0.0, 1.0]
    return new(
        "sensor_msgs/msg/CameraInfo",
        header=header(time_ns),
        height=HEIGHT,
        width=WIDTH,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.array(matrix),
        r=np.eye(3).ravel(),
        p=np.zeros(12),
        binning_x=0,
        binning_y=0,
        roi=new(
            "sensor_msgs/msg/RegionOfInterest",
            x_offset=0,
            y_offset=0,
            height=0,
            width=0,
            do_rectify=False,
        ),
    )


@dataclass
class BagWriter:
    """Writes a new bag; use it with `with`."""

    folder: Path
    storage: StoragePlugin = StoragePlugin.MCAP

    def __post_init__(self) -> None:
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> BagWriter:
        self._writer = Writer(self.folder, version=8, storage_plugin=self.storage)
        self._writer.open()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._writer.__exit__(*exception)

    def write(self, topic: str, time_ns: int, message: Any) -> None:
        kind = message.__msgtype__
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, kind, typestore=STORE)
        self._writer.write(self._connections[topic], time_ns, STORE.serialize_cdr(message, kind))
