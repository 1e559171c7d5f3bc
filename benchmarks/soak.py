# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures the growth of the node's memory, threads, file handles and latency over a long time.

    scripts/run.sh python benchmarks/soak.py --minutes 30 [--model tabletop] [--rate 10] [--json FILE]

The node runs in its own process. It receives images of two cameras, one of which publishes an invalid image now and
then; its vocabulary changes every second, and one camera is removed and added every ten. Ends with an error when
memory grows by more than 1 MB an hour, when the number of threads or file handles grows, or when no labels are
published. Slopes are of the last three quarters, because loading and caching at the start are no growth.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ros_environment import ros_environment

from zs_seg_ros.files import write_output

WARM_UP_SHARE = 0.25
MOST_MB_AN_HOUR = 1.0


@dataclass(frozen=True)
class Sample:
    """memory_mb: resident. latency_ms: of the newest label, from its stamp to its arrival here."""

    minute: float
    memory_mb: float
    threads: int
    files: int
    labels: int
    latency_ms: float


class Driver:
    """Publishes images, and changes the vocabulary and the cameras of the node."""

    def __init__(self, rate: float) -> None:
        import rclpy
        from rcl_interfaces.srv import SetParameters
        from sensor_msgs.msg import Image

        from zs_seg_ros.msg import ObjectMaskArray
        from zs_seg_ros.srv import SetVocabulary

        rclpy.init()
        self.node = rclpy.create_node("soak")
        self.labels, self.latency_ms, self._ticks = 0, float("nan"), 0
        self._random = np.random.default_rng(0)
        self._images = [
            self._random.integers(0, 256, (6, 8, 3), np.uint8).repeat(80, 0).repeat(80, 1)
            for _ in range(10)
        ]
        self._cameras = {
            name: self.node.create_publisher(Image, f"/{name}/image_raw", 1)
            for name in ("front", "rear")
        }
        for camera in self._cameras:
            self.node.create_subscription(Image, f"/zs_seg/{camera}/label", self._on_label, 5)
            self.node.create_subscription(
                ObjectMaskArray, f"/zs_seg/{camera}/objects", lambda _: None, 5
            )
        self._vocabulary = self.node.create_client(SetVocabulary, "/zs_seg/set_vocabulary")
        self._parameters = self.node.create_client(SetParameters, "/zs_seg/set_parameters")
        self.node.create_timer(1 / rate, self._send)
        self.node.create_timer(1.0, self._change_vocabulary)
        self.node.create_timer(10.0, self._change_cameras)

    def _on_label(self, message: Any) -> None:
        from zs_seg_ros.images.message_images import stamp_ns

        self.labels += 1
        self.latency_ms = (time.time_ns() - stamp_ns(message.header.stamp)) / 1e6

    def _send(self) -> None:
        from std_msgs.msg import Header

        from zs_seg_ros.ros.conversions import image_message, time_message

        self._ticks += 1
        image = self._images[self._ticks % len(self._images)]
        for name, publisher in self._cameras.items():
            message = image_message(image, "rgb8", Header(frame_id=name))
            message.header.stamp = time_message(time.time_ns())
            if name == "rear" and self._ticks % 50 == 0:
                message.step = 7  # invalid
            publisher.publish(message)

    def _change_vocabulary(self) -> None:
        from zs_seg_ros.msg import TargetClass
        from zs_seg_ros.srv import SetVocabulary

        colours = self._random.permutation(["red", "green", "blue", "yellow", "white"])[:3]
        kinds = self._random.permutation(["mug", "duck", "cube", "star", "ball"])[:3]
        names = [f"{colour} {kind}" for colour, kind in zip(colours, kinds, strict=True)]
        request = SetVocabulary.Request(classes=[TargetClass(name=name) for name in names])
        self._vocabulary.call_async(request)

    def _change_cameras(self) -> None:
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        cameras = ["front"] if int(time.monotonic() / 10) % 2 else ["front", "rear"]
        parameter = Parameter("cameras", value=cameras).to_parameter_msg()
        self._parameters.call_async(SetParameters.Request(parameters=[parameter]))


def sample(process: int, driver: Driver, start_s: float) -> Sample:
    folder = Path(f"/proc/{process}")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return Sample(
        (time.monotonic() - start_s) / 60,
        int(status["VmRSS"].split()[0]) / 1024,
        int(status["Threads"]),
        len(list((folder / "fd").iterdir())),
        driver.labels,
        driver.latency_ms,
    )


def growth_an_hour(samples: list[Sample], what: str) -> float:
    """Slope of the least squares line through the last three quarters."""
    kept = samples[int(len(samples) * WARM_UP_SHARE) :]
    hours = [each.minute / 60 for each in kept]
    return float(np.polyfit(hours, [getattr(each, what) for each in kept], 1)[0])


def run(minutes: float, rate: float, process: subprocess.Popen[Any]) -> list[Sample]:
    import rclpy

    driver = Driver(rate)
    while not driver.labels:
        rclpy.spin_once(driver.node, timeout_sec=0.1)
        if process.poll() is not None:
            raise SystemExit(f"the node ended with {process.returncode}")
    samples, start, every_s = [], time.monotonic(), max(2.0, minutes * 60 / 60)
    print(f"{'minute':>8}{'MB':>9}{'threads':>9}{'files':>7}{'labels':>9}{'latency ms':>12}")
    while time.monotonic() - start < minutes * 60:
        until = time.monotonic() + every_s
        while time.monotonic() < until:
            rclpy.spin_once(driver.node, timeout_sec=0.1)
        one = sample(process.pid, driver, start)
        samples.append(one)
        print(
            f"{one.minute:8.1f}{one.memory_mb:9.1f}{one.threads:9}{one.files:7}{one.labels:9}"
            f"{one.latency_ms:12.1f}",
            flush=True,
        )
    return samples


def judge(samples: list[Sample]) -> list[str]:
    """What is wrong."""
    kept = samples[int(len(samples) * WARM_UP_SHARE) :]
    wrong = []
    slope = growth_an_hour(samples, "memory_mb")
    print(f"memory grows by {slope:+.2f} MB an hour (at most {MOST_MB_AN_HOUR:g})")
    if slope > MOST_MB_AN_HOUR:
        wrong.append("memory grows")
    for what in ("threads", "files"):
        first, last = getattr(kept[0], what), getattr(kept[-1], what)
        print(f"{what}: {first} at first, {last} at last")
        if last > first + 2:
            wrong.append(f"{what} become more")
    if any(b.labels == a.labels for a, b in itertools.pairwise(samples)):
        wrong.append("frames stopped coming")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--model", default="tabletop")
    parser.add_argument("--rate", type=float, default=10.0, help="images a second and camera")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    os.environ |= ros_environment()
    command = [sys.executable, "-c", "from zs_seg_ros.ros.node import main; main()", "--ros-args"]
    for value in (f"model:={arguments.model}", "cameras:=[front, rear]", "classes:=[red mug]"):
        command += ["-p", value]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/")
    try:
        samples = run(arguments.minutes, arguments.rate, process)
    finally:
        process.terminate()
        code = process.wait(20)
    wrong = judge(samples)
    if code != 0:
        wrong.append(f"the node ended with {code}")
    print("; ".join(wrong) or "nothing grows")
    if arguments.json:
        write_output(
            arguments.json,
            (json.dumps([asdict(each) for each in samples], indent=1) + "\n").encode(),
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
