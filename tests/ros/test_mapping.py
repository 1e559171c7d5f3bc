# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A mapper: positions of the shipped recording in the map, while the camera moves, against its ground truth.

It knows the public messages alone. The truth is computed here, from the recorded instances, depth and transforms.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from planner import TIMEOUT_S, Planner, pixels, running_node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from zs_seg_ros.bags.bag import Bag, shipped_bag
from zs_seg_ros.perception.masks import decode_runs

STATIC = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TYPES = {
    "/tf": TFMessage,
    "/tf_static": TFMessage,
    "/camera/camera_info": CameraInfo,
    "/camera/depth/image_raw": Image,
    "/camera/image_raw": Image,
    "/camera/ground_truth/instance": Image,
}
FRAMES = range(0, 40, 4)  # four seconds of an orbit
NAMES = ["red duck", "green star", "blue ball", "white mug", "yellow cube", "red mug"]
PARAMETERS = {
    "model": "tabletop",
    "device": "cpu",
    "classes": NAMES,
    "camera.depth": True,
    "target_frame": "map",
}


def recorded() -> list[dict[str, Any]]:
    """The messages of the chosen frames, by topic; /tf_static is in each."""
    frames: dict[int, dict[str, Any]] = {}
    static = None
    with Bag(shipped_bag()) as bag:
        for message in bag.messages(TYPES):
            topic = message.topic.name
            content = deserialize_message(message.serialised, TYPES[topic])
            if topic == "/tf_static":
                static = content
            else:
                frames.setdefault(message.time_ns, {})[topic] = content
    ordered = [frames[time_ns] for time_ns in sorted(frames)]
    return [ordered[number] | {"/tf_static": static} for number in FRAMES]


def matrix(message: TFMessage) -> NDArray[np.float64]:
    """The (4, 4) matrix of the only transform of a message."""
    [stamped] = message.transforms
    turn, shift = stamped.transform.rotation, stamped.transform.translation
    x, y, z, w = turn.x, turn.y, turn.z, turn.w
    result = np.eye(4)
    result[:3, 0] = 1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)
    result[:3, 1] = 2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)
    result[:3, 2] = 2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)
    result[:3, 3] = shift.x, shift.y, shift.z
    return result


def places_in_map(frame: dict[str, Any]) -> NDArray[np.float64]:
    """(H, W, 3): where each pixel is in the map, NaN without depth."""
    depth, info = frame["/camera/depth/image_raw"], frame["/camera/camera_info"]
    z = np.frombuffer(depth.data, np.uint16).reshape(depth.height, depth.width) / 1000
    z[z == 0] = np.nan
    column, row = np.meshgrid(np.arange(depth.width), np.arange(depth.height))
    x, y = (column - info.k[2]) / info.k[0] * z, (row - info.k[5]) / info.k[4] * z
    pose = matrix(frame["/tf"]) @ matrix(frame["/tf_static"])
    optical = np.stack((x, y, z), axis=-1)
    places: NDArray[np.float64] = optical @ pose[:3, :3].T + pose[:3, 3]
    return places


@pytest.fixture
def planner() -> Iterator[Planner]:
    with running_node(PARAMETERS) as planner:
        yield planner


def show(planner: Planner, frame: dict[str, Any]) -> Any:
    """Publish a frame until its objects have positions, and return them."""
    received = planner.outputs("objects")
    end = time.monotonic() + TIMEOUT_S
    while True:
        planner.publish("/tf_static", frame["/tf_static"], STATIC)
        planner.publish("/tf", frame["/tf"], 100)
        for topic in ("/camera/camera_info", "/camera/depth/image_raw", "/camera/image_raw"):
            planner.publish(topic, frame[topic])
        objects = planner.output_with_stamp_of(frame["/camera/image_raw"], received)
        if any(o.has_position for o in objects.objects):
            return objects
        received.clear()
        assert time.monotonic() < end, "waited in vain for positions"


def test_positions_in_the_map_are_right_to_a_centimetre_while_the_camera_moves(
    planner: Planner,
) -> None:
    errors_m, travelled_m = [], []
    for frame in recorded():
        objects = show(planner, frame)
        assert objects.header.frame_id == "map"
        places, instances = places_in_map(frame), pixels(frame["/camera/ground_truth/instance"])
        travelled_m.append(matrix(frame["/tf"])[:3, 3])
        for detected in (o for o in objects.objects if o.has_position):
            roi = detected.roi
            mask = np.zeros(instances.shape, np.bool_)
            window = mask[roi.y_offset :, roi.x_offset :][: roi.height, : roi.width]
            window[:] = decode_runs(detected.counts, roi.height, roi.width)
            true = instances == np.bincount(instances[mask]).argmax()
            if (mask & true).sum() / (mask | true).sum() < 0.5:
                continue
            position = detected.position
            truth = np.nanmean(places[true], axis=0)
            errors_m.append(np.linalg.norm(truth - [position.x, position.y, position.z]))
    assert np.ptp(travelled_m, axis=0).max() > 0.1, "the camera has moved"
    assert len(errors_m) >= 20
    assert np.median(errors_m) <= 0.01, f"median {np.median(errors_m) * 1000:.1f} mm"
