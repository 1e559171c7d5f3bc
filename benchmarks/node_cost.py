# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures the node's cost of a frame without inference: message to tensor, logits to messages, publishing.

    scripts/run.sh python benchmarks/node_cost.py [--frames 200] [--rate 15] [--json FILE]

Runs the real node on one core with a model whose logits are computed in advance: 8 classes, 20 objects. A camera in
another process publishes images over DDS and subscribes to label, confidence and objects. The figures are processor
time of the whole process per frame, threads of DDS included, so that other load on the machine hardly changes them. The
post-processing from logits to label and confidence is reported separately, because it differs between families of
models. Below, the same by thread, and the time of each stage, during which other threads and processes ran, too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from ros_environment import ros_environment
from scene import logits_of
from torch import Tensor

from zs_seg_ros.files import write_output
from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter
from zs_seg_ros.segmenters.shared.image_tensors import prepare
from zs_seg_ros.segmenters.shared.label_image import decode
from zs_seg_ros.segmenters.shared.processor import this_processor
from zs_seg_ros.types import Batch, Segmentation, size_of
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

SIZES = ((640, 480, {"avx512f": 6.0, "avx2": 10.0}), (1280, 720, {"avx512f": 9.0, "avx2": 15.0}))
"""(width, height, goals in ms by a processor's flag, of which the first that it has counts)."""
CLASSES, OBJECTS = 8, 20
WARM_UP_FRAMES = 20


class ReadyLogits(Segmenter[tuple[Tensor, ...]]):
    """Preprocesses the image as CLIPSeg does, and decodes precomputed logits into a label image."""

    model, device = "ready logits", "cpu"
    decoding_s = 0.0  # processor time, until now
    mean, std = torch.zeros(3), torch.ones(3)

    def encode(self, vocabulary: Vocabulary) -> EncodedVocabulary[tuple[Tensor, ...]]:
        frames = tuple(logits_of(OBJECTS, CLASSES, number) for number in range(8))
        return EncodedVocabulary(vocabulary, frames)

    def segment(
        self, batch: Batch, encoded: EncodedVocabulary[tuple[Tensor, ...]]
    ) -> list[Segmentation]:
        vocabulary = encoded.vocabulary
        prepare(batch.images, (352, 352), self.mean, self.std)
        logits = encoded.features[time.monotonic_ns() // 10**8 % len(encoded.features)]
        start = time.thread_time()
        segmentations = [
            decode(logits, size_of(image), batch.thresholds, vocabulary.label_ids)
            for image in batch.images
        ]
        self.decoding_s += time.thread_time() - start
        return segmentations


def used_ms_by_thread() -> dict[str, float]:
    """Return the milliseconds of processor time of the threads of this process that are alive, by name."""
    names = {str(thread.native_id): thread.name for thread in threading.enumerate()}
    used: dict[str, float] = defaultdict(float)
    for task in Path("/proc/self/task").iterdir():
        name = names.get(task.name, "DDS and others").partition("-")[0]
        used[name] += int((task / "schedstat").read_text().split()[0]) / 1e6
    return used


def run_node(frames: int) -> None:
    """Run the measured process; print the milliseconds of a frame, and of its decoding."""
    import rclpy
    from rclpy.executors import MultiThreadedExecutor
    from rclpy.parameter import Parameter

    from zs_seg_ros.ros.node import SegmentationNode

    os.sched_setaffinity(0, {0})
    torch.set_num_threads(1)
    segmenter = ReadyLogits()
    patch("zs_seg_ros.perception.live_model.load_segmenter", lambda *_: segmenter).start()
    rclpy.init()
    names = [f"class {number}" for number in range(CLASSES)]
    node = SegmentationNode(parameter_overrides=[Parameter("classes", value=names)])
    executor = MultiThreadedExecutor(num_threads=6)
    executor.add_node(node)

    def published() -> int:
        camera = node._cameras.get("camera")
        return camera.health.frames_out if camera else 0

    def spin_until(count: int) -> None:
        while published() < count:
            executor.spin_once()  # as spin does: a timeout costs time

    spin_until(WARM_UP_FRAMES)
    threads_start = used_ms_by_thread()
    first, start, decoding_start = published(), time.process_time(), segmenter.decoding_s
    spin_until(WARM_UP_FRAMES + frames)
    used_s, decoding_s = time.process_time() - start, segmenter.decoding_s - decoding_start
    count = published() - first
    of_threads = {n: (ms - threads_start[n]) / count for n, ms in used_ms_by_thread().items()}
    camera = node._cameras.get("camera")
    assert camera is not None
    stages = camera.health.stage_means_ms()
    for title, means in (("threads", of_threads), ("stages", stages)):
        parts = ", ".join(f"{name} {mean:.1f}" for name, mean in means.items() if mean >= 0.05)
        print(f"  {title}: {parts}", file=sys.stderr)
    print(used_s * 1000 / count, decoding_s * 1000 / count, flush=True)
    os._exit(0)


def run_camera(width: int, height: int, rate: float) -> None:
    """Publish images until the process is ended."""
    import rclpy
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    from zs_seg_ros.msg import ObjectMaskArray
    from zs_seg_ros.ros.conversions import image_message, time_message

    os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)) or {0})
    rclpy.init()
    node = rclpy.create_node("camera")
    publisher = node.create_publisher(Image, "/camera/image_raw", 1)

    def ignore(_: Any) -> None:
        pass

    for topic, kind in (("label", Image), ("confidence", Image), ("objects", ObjectMaskArray)):
        node.create_subscription(kind, f"/zs_seg/camera/{topic}", ignore, 5)
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    message = image_message(image, "rgb8", Header(frame_id="camera"))

    def send() -> None:
        message.header.stamp = time_message(time.time_ns())
        publisher.publish(message)

    node.create_timer(1 / rate, send)
    rclpy.spin(node)


def measure(width: int, height: int, frames: int, rate: float) -> tuple[float, float]:
    """Return the milliseconds of a frame, and of its decoding."""
    environment = ros_environment()
    me = [sys.executable, __file__]
    as_camera = [*me, "--camera", str(width), str(height), "--rate", str(rate)]
    camera = subprocess.Popen(as_camera, env=environment)
    try:
        as_node = [*me, "--node", "--frames", str(frames)]
        answer = subprocess.run(
            as_node, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=600
        )
    finally:
        camera.kill()
        camera.wait()
    whole_ms, decoding_ms = map(float, answer.stdout.split()[-2:])
    return whole_ms, decoding_ms


def goal(goals_ms: Mapping[str, float]) -> str:
    """Return the goal of the processor that this runs on, as a text."""
    flag = next((flag for flag in goals_ms if flag in this_processor().flags), None)
    return f"goal with {flag}: {goals_ms[flag]:g}" if flag else "no goal for this processor"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--rate", type=float, default=15.0, help="images a second (default: 15)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--node", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--camera", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.node:
        run_node(arguments.frames)
    if arguments.camera:
        width, height = arguments.camera
        run_camera(width, height, arguments.rate)
    figures = {}
    for width, height, goals_ms in SIZES:
        whole_ms, decoding_ms = measure(width, height, arguments.frames, arguments.rate)
        figures[f"{width}x{height}"] = {"whole_ms": whole_ms, "decoding_ms": decoding_ms}
        print(
            f"{width}x{height}: {whole_ms:.1f} ms of processor time a frame ({goal(goals_ms)}), {decoding_ms:.1f} "
            f"of them from logits to label and confidence, {whole_ms - decoding_ms:.1f} for the rest"
        )
    if arguments.json:
        write_output(arguments.json, (json.dumps(figures, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
