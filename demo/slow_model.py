# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Films a model slowed to 2 Hz beside the same model with propagation: the newest masks on the newest image."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import rclpy
from images import BACKGROUND, INK, captioned
from numpy.typing import NDArray
from processes import DemoError, RosProcesses
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from robot import CAMERA, pixels_of, stamp_ns
from sensor_msgs.msg import Image
from session import FIRST_VOCABULARY, START_TIMEOUT_S

from zs_seg_ros.files import write_output
from zs_seg_ros.perception.overlay import draw_overlay
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

FILM_S, GAP_PX, RATE_HZ = 6.0, 8, 10
SLOWED = {"min_inference_period": "0.5"}
NODES = {"slow": SLOWED, "carried": SLOWED | {"propagation": "flow"}}
TITLES = {"slow": "a model at 2 Hz", "carried": "the same with propagation: flow"}


@dataclass
class Moments:
    """Received arrays by stamp, with the time of arrival in seconds."""

    images: dict[int, tuple[float, NDArray[Any]]] = field(default_factory=dict)
    labels: dict[str, dict[int, tuple[float, NDArray[Any]]]] = field(
        default_factory=lambda: {name: {} for name in NODES}
    )

    def newest_label(self, name: str, before_s: float) -> NDArray[Any] | None:
        """The label image that a planner has at a time."""
        known = [
            stamp for stamp, (arrived_s, _) in self.labels[name].items() if arrived_s <= before_s
        ]
        return self.labels[name][max(known)][1] if known else None


def _store(into: dict[int, tuple[float, NDArray[Any]]], message: Image) -> None:
    into[stamp_ns(message)] = time.monotonic(), pixels_of(message)


def record(log_folder: Path, node_parameters: dict[str, str]) -> Moments:
    """Run both nodes on the simulated camera for FILM_S seconds. Raises DemoError without results."""
    moments = Moments()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("film")
    qos = qos_profile_sensor_data
    node.create_subscription(Image, f"/{CAMERA}/image_raw", partial(_store, moments.images), qos)
    for name, labels in moments.labels.items():
        node.create_subscription(Image, f"/{name}/{CAMERA}/label", partial(_store, labels), qos)
    classes = {"classes": f"[{', '.join(FIRST_VOCABULARY)}]"}
    try:
        with RosProcesses(log_folder) as processes:
            for name, pace in NODES.items():
                processes.start("segmentation_node", node_parameters | classes | pace, name)
            processes.start("tabletop_camera", {})
            end_s = time.monotonic() + START_TIMEOUT_S
            while not all(moments.labels.values()):
                if time.monotonic() > end_s:
                    raise DemoError("a node with a slow model published no label image")
                processes.check()
                rclpy.spin_once(node, timeout_sec=0.1)
            moments.images.clear()
            end_s = time.monotonic() + FILM_S
            while time.monotonic() < end_s:
                rclpy.spin_once(node, timeout_sec=0.1)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return moments


def write_film(path: Path, moments: Moments) -> None:
    """Write an H.264 MP4: each image of the camera twice, with the newest masks of either node a frame later."""
    vocabulary = Vocabulary().changed_to(TargetClass(name) for name in FIRST_VOCABULARY)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=RATE_HZ)
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "20"}
        for number, stamp in enumerate(sorted(moments.images)):
            arrived_s, image = moments.images[stamp]
            halves = []
            for name, title in TITLES.items():
                label = moments.newest_label(name, arrived_s + 1 / RATE_HZ)
                drawn = image if label is None else draw_overlay(image, label, (), vocabulary)
                halves.append(captioned(drawn, title, INK))
            gap = np.full((halves[0].shape[0], GAP_PX, 3), BACKGROUND, np.uint8)
            whole = np.concatenate([halves[0], gap, halves[1]], axis=1)
            stream.height, stream.width = whole.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(whole), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    write_output(path, file.getvalue())
