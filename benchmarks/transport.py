# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Counts the images that arrive between two processes, with and without the Fast DDS profile of this package.

    scripts/run.sh python benchmarks/transport.py [--frames 150] [--rate 30] [--size 1280x720]

One process publishes with the QoS of sensor data (best effort), as camera drivers do; another one counts the received
images and measures their age.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from typing import Any

from ros_environment import ros_environment


def send(frames: int, rate: float, width: int, height: int) -> None:
    import numpy as np
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    from zs_seg_ros.ros.conversions import image_message, time_message

    rclpy.init()
    node = rclpy.create_node("sender")
    publisher = node.create_publisher(Image, "/transport_benchmark", qos_profile_sensor_data)
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    message = image_message(image, "rgb8", Header())
    while not publisher.get_subscription_count():
        time.sleep(0.01)
    time.sleep(1.0)  # the other side matches a little later
    for _ in range(frames):
        message.header.stamp = time_message(time.time_ns())
        publisher.publish(message)
        time.sleep(1 / rate)
    time.sleep(1.0)
    os._exit(0)


def receive(seconds: float) -> None:
    """Print the number of received images, and their median age in milliseconds."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    from zs_seg_ros.images.message_images import stamp_ns

    rclpy.init()
    node = rclpy.create_node("receiver")
    ages_ms: list[float] = []

    def on_image(message: Any) -> None:
        ages_ms.append((time.time_ns() - stamp_ns(message.header.stamp)) / 1e6)

    node.create_subscription(Image, "/transport_benchmark", on_image, qos_profile_sensor_data)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.1)
    print(len(ages_ms), statistics.median(ages_ms) if ages_ms else float("nan"), flush=True)
    os._exit(0)


def measure(frames: int, rate: float, size: str, profile: bool) -> tuple[int, float]:
    environment = ros_environment(profile)
    me = [sys.executable, __file__, "--frames", str(frames), "--rate", str(rate), "--size", size]
    receiver = subprocess.Popen(
        [*me, "--receive"], env=environment, stdout=subprocess.PIPE, text=True
    )
    subprocess.run([*me, "--send"], env=environment, check=True, timeout=300)
    answer, _ = receiver.communicate(timeout=300)
    count, age_ms = answer.split()
    return int(count), float(age_ms)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--rate", type=float, default=30.0, help="images a second (default: 30)")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--send", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--receive", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    frames, rate = arguments.frames, arguments.rate
    width, height = (int(side) for side in arguments.size.split("x"))
    if arguments.send:
        send(frames, rate, width, height)
    if arguments.receive:
        receive(frames / rate + 10)
    for profile in (False, True):
        count, age_ms = measure(frames, rate, arguments.size, profile)
        how = "with the profile" if profile else "with Fast DDS's defaults"
        print(f"{how}: {count} of {frames} images of {arguments.size} arrived, {age_ms:.1f} ms old")
    return 0


if __name__ == "__main__":
    sys.exit(main())
