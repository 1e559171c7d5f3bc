# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Measures the age of results when ten times more images are received than the model can process.

    scripts/run.sh python benchmarks/overload.py [--model-ms 100] [--times 10] [--seconds 60] [--size 640x480]

Runs the real node with a model of a given inference time; a camera in another process publishes images that many
times as often. Ends with an error when a result is published later than twice the inference time and 20 ms after
its image was taken (95th percentile, because the scheduler delays single results under other load), when frames are
neither processed nor counted as dropped, or when memory grows in the second half.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import patch

from ros_environment import ros_environment

ALLOWANCE_MS = 20.0
MOST_GROWTH_MB = 5.0


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def run_node(model_ms: float, seconds: float) -> int:
    """Run the measured process."""
    import rclpy
    from rclpy.executors import MultiThreadedExecutor
    from rclpy.parameter import Parameter

    from zs_seg_ros.ros.diagnostics import CameraHealth
    from zs_seg_ros.ros.node import SegmentationNode
    from zs_seg_ros.segmenters.fake import FakeSegmenter

    ages_ms: list[float] = []
    record_published = CameraHealth.record_published

    def remember(health: CameraHealth, age_ms: float, stages_ms: dict[str, float]) -> None:
        ages_ms.append(age_ms)
        record_published(health, age_ms, stages_ms)

    patch.object(CameraHealth, "record_published", remember).start()
    slow = FakeSegmenter(delay_s=model_ms / 1000)
    patch("zs_seg_ros.perception.live_model.load_segmenter", lambda *_: slow).start()
    rclpy.init()
    node = SegmentationNode(parameter_overrides=[Parameter("classes", value=["red"])])
    executor = MultiThreadedExecutor(num_threads=6)
    executor.add_node(node)

    def spin_for(duration_s: float) -> None:
        end = time.monotonic() + duration_s
        while time.monotonic() < end:
            executor.spin_once(timeout_sec=0.1)

    while len(ages_ms) < 20:
        spin_for(0.1)
    ages_ms.clear()
    spin_for(seconds / 2)
    before_mb = resident_mb()  # each of the executor's threads has handled images by now
    spin_for(seconds / 2)
    grown_mb = resident_mb() - before_mb
    camera, segmentation = node._cameras.get("camera"), node._segmentation
    assert camera is not None and segmentation is not None
    health, skipped = camera.health, segmentation.intake.skipped("camera")
    work_ms = health.stage_means_ms()["segment"]
    lost = health.frames_in - health.frames_out - skipped - health.frames_refused
    age_95 = statistics.quantiles(ages_ms, n=20)[-1]
    bound_ms = 2 * work_ms + ALLOWANCE_MS
    print(
        f"the model took {work_ms:.0f} ms, {health.frames_in} images were received, {len(ages_ms)} results published"
    )
    print(f"age of a result: median {statistics.median(ages_ms):.0f} ms, 95 % below {age_95:.0f} ms "
          f"(at most {bound_ms:.0f}), oldest {max(ages_ms):.0f} ms")  # fmt: skip
    print(
        f"{skipped} dropped and counted, {lost} being processed or waiting; memory grew by {grown_mb:.1f} MB",
        flush=True,
    )
    os._exit(int(age_95 > bound_ms or not 0 <= lost <= 3 or grown_mb > MOST_GROWTH_MB))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model-ms", type=float, default=100.0)
    parser.add_argument(
        "--times", type=float, default=10.0, help="more images than the model can process"
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--node", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.node:
        return run_node(arguments.model_ms, arguments.seconds)
    environment = ros_environment()
    rate = arguments.times * 1000 / arguments.model_ms
    camera_script = str(Path(__file__).with_name("node_cost.py"))
    size = arguments.size.split("x")
    camera = subprocess.Popen(
        [sys.executable, camera_script, "--camera", *size, "--rate", str(rate)], env=environment
    )
    try:
        me = [sys.executable, __file__, "--node", "--model-ms", str(arguments.model_ms)]
        node = [*me, "--seconds", str(arguments.seconds)]
        return subprocess.run(node, env=environment, timeout=300 + arguments.seconds).returncode
    finally:
        camera.kill()
        camera.wait()


if __name__ == "__main__":
    sys.exit(main())
