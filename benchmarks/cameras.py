# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Four cameras with one model in one node, against four nodes with a model each.

    scripts/run.sh python benchmarks/cameras.py [--rounds 5] [--seconds 10] [--model FOLDER_OR_ID | --random clipseg]
        [--device auto] [--json FILE]

Each camera publishes 640x480 at 10 Hz. The benchmark counts the label images that are published per second, of all
cameras together, and measures memory: resident memory, as `top` shows it, and private memory, which would be free
again without the nodes (their processes share libraries and the files of weights). The two setups alternate, round
by round, so that a change of the machine's speed affects both; the figures are medians. Without --model it uses the
built-in model; --random uses the published architecture of a kind of model with random weights, as `zs-seg bench
--random` does.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from ros_environment import ros_environment
from tqdm import tqdm

from zs_seg_ros.files import write_output
from zs_seg_ros.testing.published import write_published

CAMERAS = ("front", "rear", "left", "right")


def run_cameras(seconds: float, outputs: Sequence[str]) -> None:
    """Publish images of all cameras, and print the label images per second after the first of each output."""
    import numpy as np
    import rclpy
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    from zs_seg_ros.ros.conversions import image_message, time_message

    rclpy.init()
    node = rclpy.create_node("cameras")
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    message = image_message(image, "rgb8", Header())
    publishers = [node.create_publisher(Image, f"/{name}/image_raw", 1) for name in CAMERAS]
    counts = dict.fromkeys(outputs, 0)

    def on_label(_: Any, output: str) -> None:
        counts[output] += 1

    for output in outputs:
        node.create_subscription(Image, output, lambda m, o=output: on_label(m, o), 5)

    def send() -> None:
        message.header.stamp = time_message(time.time_ns())
        for publisher in publishers:
            publisher.publish(message)

    node.create_timer(0.1, send)
    while not all(count >= 3 for count in counts.values()):
        rclpy.spin_once(node, timeout_sec=0.1)
    before, start = sum(counts.values()), time.monotonic()
    while time.monotonic() - start < seconds:
        rclpy.spin_once(node, timeout_sec=0.1)
    print((sum(counts.values()) - before) / (time.monotonic() - start), flush=True)
    os._exit(0)


def start_node(name: str, cameras: Sequence[str], model: str, device: str) -> subprocess.Popen[Any]:
    parameters = {
        "model": model,
        "device": device,
        "cameras": f"[{', '.join(cameras)}]",
        "classes": "[red mug, yellow duck, blue cube, green star]",
    }
    main = "from zs_seg_ros.ros.node import main; main()"
    command = [sys.executable, "-c", main, "--ros-args", "-r", f"__node:={name}"]
    for key, value in parameters.items():
        command += ["-p", f"{key}:={value}"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")


@dataclass(frozen=True)
class Figures:
    """Throughput and memory of one setup: labels per second, and MB."""

    labels_per_s: float
    resident_mb: float
    own_mb: float

    def __truediv__(self, other: Figures) -> Figures:
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Figures(*(mine / others for mine, others in pairs))

    def __str__(self) -> str:
        return (
            f"{self.labels_per_s:.1f} labels a second, {self.resident_mb:.0f} MB resident, "
            f"{self.own_mb:.0f} MB private"
        )


def medians(rounds: Sequence[Figures]) -> Figures:
    return Figures(*map(statistics.median, zip(*map(astuple, rounds), strict=True)))


def memory_mb(process: int, kind: str) -> float:
    """Return the memory of a process. kind: Rss, or Private_ for the memory that ends with the process."""
    rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    counted = [line for line in rollup.splitlines() if line.startswith(kind)]
    return sum(int(line.split()[1]) for line in counted) / 1024


def measure(nodes: Sequence[Sequence[str]], arguments: argparse.Namespace) -> Figures:
    """Measure one setup. nodes: the cameras of each node."""
    processes = [
        start_node(f"node_{number}", cameras, arguments.model, arguments.device)
        for number, cameras in enumerate(nodes)
    ]
    outputs = [f"/node_{n}/{camera}/label" for n, cameras in enumerate(nodes) for camera in cameras]
    try:
        answer = subprocess.run(
            [
                sys.executable,
                __file__,
                "--seconds",
                str(arguments.seconds),
                "--subscribe",
                *outputs,
            ],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=600 + arguments.seconds,
        )
        resident, own = (
            sum(memory_mb(process.pid, kind) for process in processes)
            for kind in ("Rss", "Private_")
        )
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)
    return Figures(float(answer.stdout.split()[-1]), resident, own)


def compare(arguments: argparse.Namespace) -> None:
    together, apart = [CAMERAS], [[camera] for camera in CAMERAS]
    rounds = [
        (measure(together, arguments), measure(apart, arguments))
        for _ in tqdm(range(arguments.rounds), "measuring", unit="round")
    ]
    print(f"one node with 4 cameras: {medians([one for one, _ in rounds])}")
    print(f"4 nodes with one each:   {medians([four for _, four in rounds])}")
    ratios = [one / four for one, four in rounds]
    ratio = medians(ratios)
    slowest, fastest = (end(r.labels_per_s for r in ratios) for end in (min, max))
    print(
        f"ratio: {ratio.labels_per_s:.2f} times the throughput ({slowest:.2f} to {fastest:.2f}), "
        f"{ratio.resident_mb:.2f} of the resident memory, {ratio.own_mb:.2f} of the private memory"
    )
    if arguments.json:
        write_output(arguments.json, json.dumps(asdict(ratio)).encode())


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--model", default="tabletop")
    parser.add_argument("--random", metavar="KINDS")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, help="also write the ratios into a file")
    parser.add_argument("--subscribe", nargs="+", help=argparse.SUPPRESS)
    return parser


def main() -> int:
    arguments = parser().parse_args()
    if arguments.subscribe:
        run_cameras(arguments.seconds, arguments.subscribe)
    os.environ |= ros_environment()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.random:
            arguments.model = write_published(arguments.random, Path(folder))
        compare(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
