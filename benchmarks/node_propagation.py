# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures what the node publishes with propagation, against the truth of each result's own stamp, over DDS.

    scripts/run.sh python benchmarks/node_propagation.py [--variations FOLDER] [--names NAME ...] [--seconds 0.5]
                                                         [--random] [--frames N] [--rate 1] [--json FILE]

A camera process plays the shipped recording at its rate, with depth and the camera's pose on /tf; with --variations all
files that `python -m training.variations --output FOLDER` wrote there, too (rotation, moving objects, 5 and 30 Hz,
1280x720), or those of --names alone. The node runs with a model whose masks are perfect and that takes --seconds for
each image, without pause, and with --random half to twice that; with propagation off, flow and auto in turn. Without
`tf2_msgs` auto carries without poses. For each: the share of the camera's images with a result, and with one within
60 ms; the mean mIoU of the published label images against the truth of their own stamp, and of the newest published
label image against the truth of each image, which is what a planner has; the age of what the model saw, the node's
processor time for an image, and the machine's load. Images before the first result in a scene do not count: nothing
can be carried to them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from propagation import SEED, TrueFrame, mean_iou, recordings
from ros_environment import ros_environment

from zs_seg_ros.files import write_output
from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter
from zs_seg_ros.types import Batch, RgbImage, Segmentation, size_of
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

MODES = ("off", "flow", "auto")
LATEST_S = 0.06


class PerfectMasks(Segmenter[None]):
    """Recognises the images of the recording, and sleeps for the time of a model, which may be varied."""

    model, device = "perfect masks", "cpu"

    def __init__(self, frames: list[TrueFrame], seconds: float, varied: bool) -> None:
        self._truth = {_key(each.frame.image): each.segmentation for each in frames}
        self._seconds = seconds
        self._random = np.random.default_rng(SEED) if varied else None

    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[None]:
        return EncodedVocabulary(vocabulary, None)

    def segment(self, batch: Batch, encoded: EncodedVocabulary[None]) -> list[Segmentation]:
        factor = 1.0 if self._random is None else self._random.uniform(0.5, 2)
        time.sleep(self._seconds * factor)
        return [
            self._truth.get(_key(image), Segmentation.empty(size_of(image)))
            for image in batch.images
        ]


def _key(image: RgbImage) -> int:
    return zlib.crc32(np.ascontiguousarray(image).data)


def run_node(options: argparse.Namespace) -> None:
    """Run the node until standard input ends; print its processor time in seconds since its first line of input."""
    import rclpy
    from rclpy.executors import MultiThreadedExecutor
    from rclpy.parameter import Parameter

    from zs_seg_ros.ros.node import SegmentationNode

    [(_, frames)] = recordings(options)
    segmenter = PerfectMasks(frames, options.seconds, options.random)
    patch("zs_seg_ros.perception.live_model.load_segmenter", lambda *_: segmenter).start()
    rclpy.init()
    classes = [
        f"class {number}" for number in range(1, 1 + max(int(f.label.max()) for f in frames))
    ]
    requested = {
        "classes": classes,
        "propagation": options.node,
        "camera.depth": True,
        "fixed_frame": "map",
    }
    overrides = [Parameter(name, value=value) for name, value in requested.items()]
    executor = MultiThreadedExecutor(num_threads=6)
    executor.add_node(SegmentationNode(parameter_overrides=overrides))
    threading.Thread(target=executor.spin, daemon=True).start()
    sys.stdin.readline()
    start = time.process_time()
    sys.stdin.readline()
    print(time.process_time() - start, flush=True)


class Camera:
    """Publishes the recording, and receives the node's results."""

    def __init__(self) -> None:
        import rclpy
        from rclpy.qos import qos_profile_sensor_data
        from sensor_msgs.msg import CameraInfo, Image

        from zs_seg_ros.msg import ObjectMaskArray

        self.node = rclpy.create_node("camera")
        self.image = self.node.create_publisher(Image, "/camera/image_raw", 5)
        self.depth = self.node.create_publisher(Image, "/camera/depth/image_raw", 5)
        self.info = self.node.create_publisher(CameraInfo, "/camera/camera_info", 5)
        self.tf: Any = None
        if importlib.util.find_spec("tf2_msgs") is not None:
            from tf2_msgs.msg import TFMessage

            self.tf = self.node.create_publisher(TFMessage, "/tf", 100)
        self.labels: dict[int, tuple[float, Any]] = {}  # by stamp: time of arrival, label image
        self.inferred_ns: dict[int, int] = {}
        for kind, topic, callback in (
            (Image, "label", self._on_label),
            (ObjectMaskArray, "objects", self._on_objects),
        ):
            qos = qos_profile_sensor_data
            self.node.create_subscription(kind, f"/zs_seg/camera/{topic}", callback, qos)

    def _on_label(self, message: Any) -> None:
        label = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)
        self.labels[_ns(message.header.stamp)] = time.monotonic(), label

    def _on_objects(self, message: Any) -> None:
        self.inferred_ns[_ns(message.header.stamp)] = _ns(message.inferred_stamp)

    def publish(self, each: TrueFrame, stamp_ns: int) -> None:
        """Publish one frame under another stamp: pose, calibration, depth, image."""
        from sensor_msgs.msg import CameraInfo
        from std_msgs.msg import Header

        from zs_seg_ros.ros.conversions import image_message, time_message

        header = Header(stamp=time_message(stamp_ns), frame_id="optical")
        depth = each.frame.depth
        assert depth is not None
        camera = depth.intrinsics
        matrix = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
        if self.tf is not None:
            self.tf.publish(_transform(each, header))
        self.info.publish(
            CameraInfo(header=header, height=camera.height, width=camera.width, k=matrix)
        )
        self.depth.publish(image_message(np.asarray(depth.values), "16UC1", header))
        self.image.publish(image_message(each.frame.image, "rgb8", header))


def _ns(stamp: Any) -> int:
    return int(stamp.sec * 10**9 + stamp.nanosec)


def _transform(each: TrueFrame, header: Any) -> Any:
    from geometry_msgs.msg import TransformStamped
    from scipy.spatial.transform import Rotation  # type: ignore[import-untyped]
    from std_msgs.msg import Header
    from tf2_msgs.msg import TFMessage

    pose = each.frame.pose
    assert pose is not None
    message = TransformStamped(
        header=Header(stamp=header.stamp, frame_id="map"), child_frame_id="optical"
    )
    x, y, z, w = Rotation.from_matrix(pose.rotation).as_quat().tolist()
    turn, shift = message.transform.rotation, message.transform.translation
    turn.x, turn.y, turn.z, turn.w = x, y, z, w
    shift.x, shift.y, shift.z = pose.translation_m.tolist()
    return TFMessage(transforms=[message])


def measure(
    camera: Camera, name: str, frames: list[TrueFrame], mode: str, options: argparse.Namespace
) -> dict[str, float]:
    """Play the frames of a recording to a node in this mode. Returns its figures."""
    seconds = options.seconds
    command = [sys.executable, __file__, "--node", mode, "--names", name, "--seconds", str(seconds)]
    command += ["--random"] if options.random else []
    command += ["--variations", str(options.variations)] if options.variations else []
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        until_s = time.monotonic() + 120
        while not (
            camera.image.get_subscription_count()
            and camera.node.count_publishers("/zs_seg/camera/label")
        ):
            assert time.monotonic() < until_s, "the node does not subscribe"
            time.sleep(0.05)
        camera.labels.clear()
        while not camera.labels:  # until both know each other
            assert time.monotonic() < until_s, "the node gives no results"
            camera.publish(frames[0], time.time_ns())
            time.sleep(0.1)
        time.sleep(1 + 2 * seconds)
        print(file=process.stdin, flush=True)
        sent = _play(camera, frames, options.rate)
        time.sleep(1 + 2 * seconds)
        print(file=process.stdin, flush=True)
        used_s = float(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
    return _figures(camera, frames, sent, used_s)


def _play(camera: Camera, frames: list[TrueFrame], rate: float) -> list[tuple[int, float]]:
    """Publish the frames at their rate. Returns stamp and time of publishing of each."""
    camera.labels.clear()
    camera.inferred_ns.clear()
    start_s, first_ns, sent = time.monotonic(), frames[0].frame.stamp_ns, []
    for each in frames:
        due_s = start_s + (each.frame.stamp_ns - first_ns) * 1e-9 / rate
        time.sleep(max(0.0, due_s - time.monotonic()))
        stamp_ns = time.time_ns()
        sent.append((stamp_ns, time.monotonic()))
        camera.publish(each, stamp_ns)
    return sent


def _figures(
    camera: Camera, frames: list[TrueFrame], sent: list[tuple[int, float]], used_s: float
) -> dict[str, float]:
    labels = dict(camera.labels)
    own, newest, delays, ages = [], [], [], []
    first_stamps: dict[int, int] = {}  # of the first result in each scene
    for each, (stamp_ns, _) in zip(frames, sent, strict=True):
        if stamp_ns in labels:
            first_stamps.setdefault(each.scene, stamp_ns)
    counted = [
        (each, *moment)
        for each, moment in zip(frames, sent, strict=True)
        if moment[0] >= first_stamps.get(each.scene, moment[0] + 1)
    ]
    for each, stamp_ns, sent_s in counted:
        if stamp_ns in labels:
            arrived_s, label = labels[stamp_ns]
            delays.append(arrived_s - sent_s)
            own.append(mean_iou(label, each.label))
            ages.append((stamp_ns - camera.inferred_ns.get(stamp_ns, stamp_ns)) * 1e-9)
        # What a planner has 60 ms after the image, without results of later images.
        known = [
            s
            for s, (arrived_s, _) in labels.items()
            if s <= stamp_ns and arrived_s <= sent_s + LATEST_S
        ]
        if known:
            newest.append(mean_iou(labels[max(known)][1], each.label))
    return {
        "images": len(counted),
        "answered": len(own) / len(counted),
        "within_60_ms": sum(delay <= LATEST_S for delay in delays) / len(counted),
        "median_delay_ms": 1000 * float(np.median(delays)),
        "miou_of_results": float(np.mean(own)),
        "miou_of_newest": float(np.mean(newest)),
        "inferred_age_s": float(np.mean(ages)),
        "ms_of_an_image": 1000 * used_s / len(sent),
    }


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variations", type=Path, help="a folder of training/variations.py")
    parser.add_argument("--names", nargs="+", help="these recordings only")
    parser.add_argument("--seconds", type=float, default=0.5, help="of the model for an image")
    parser.add_argument("--random", action="store_true", help="a model of random speed")
    parser.add_argument("--frames", type=int, help="of each recording (default: all)")
    parser.add_argument("--rate", type=float, default=1.0, help="times the recorded speed")
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--node", choices=MODES, help=argparse.SUPPRESS)
    parser.set_defaults(recording=None)
    return parser.parse_args()


def main() -> None:
    options = parse_options()
    if options.node:
        run_node(options)
        return
    import rclpy

    os.environ.update(ros_environment())
    rclpy.init()
    camera = Camera()
    threading.Thread(target=rclpy.spin, args=(camera.node,), daemon=True).start()
    everything: dict[str, dict[str, dict[str, float]]] = {}
    for name, frames in recordings(options):
        everything[name] = table = {}
        print(
            f"{name}\nmode   images  answered  within 60 ms    delay  mIoU  mIoU of what is known  age inferred  "
            "processor  load"
        )
        for mode in options.modes:
            table[mode] = each = measure(camera, name, frames[: options.frames], mode, options)
            print(
                f"{mode:6} {each['images']:6} {each['answered']:9.3f} {each['within_60_ms']:13.3f} "
                f"{each['median_delay_ms']:5.0f} ms {each['miou_of_results']:5.3f} {each['miou_of_newest']:22.3f} "
                f"{each['inferred_age_s']:11.2f} s {each['ms_of_an_image']:7.1f} ms {os.getloadavg()[0]:5.1f}",
                flush=True,
            )
    if options.json:
        write_output(options.json, (json.dumps(everything, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
