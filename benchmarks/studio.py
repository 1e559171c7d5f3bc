# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What the studio costs a node, and how fast its page is: `python benchmarks/studio.py`.

A node with the model fake segments images of 640x480 at 30 Hz. Its processor time for each result, its rate and its
memory are measured with one subscriber to its objects alone, then with a browser at the studio beside it, then with ten
more pages that read nothing. The page counts the images that it draws. A class is typed five times: the time from the
key press to its masks includes the inference of the next image. It needs Chromium and Playwright, and an idle machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import rclpy
from playwright.sync_api import Page, sync_playwright
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from websockets.sync.client import connect

from zs_seg_ros.msg import ObjectMaskArray
from zs_seg_ros.ros.conversions import image_message
from zs_seg_ros.segmenters.fake import PALETTE

_RATE_HZ = 30.0
_NODE = "zs_seg"
_WARM_UP_S = 3.0


@contextmanager
def process(*command: str) -> Iterator[psutil.Process]:
    """Run an executable of the package, and end it."""
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield psutil.Process(started.pid)
    finally:
        started.terminate()
        started.wait()


class Camera:
    """Publishes images of three colours, and counts the node's results for them."""

    def __init__(self) -> None:
        self.results = 0
        self._node = rclpy.create_node("camera")
        self._publisher = self._node.create_publisher(Image, "/camera/image_raw", 1)
        self._node.create_subscription(ObjectMaskArray, f"/{_NODE}/camera/objects", self._count, 5)
        columns = np.repeat([PALETTE[name] for name in ("red", "green", "blue")], 214, axis=0)
        self._pixels = np.broadcast_to(columns[:640].astype(np.uint8), (480, 640, 3))
        self._node.create_timer(1 / _RATE_HZ, self._publish)
        executor = SingleThreadedExecutor()
        executor.add_node(self._node)
        threading.Thread(target=executor.spin, daemon=True).start()

    def _count(self, _: ObjectMaskArray) -> None:
        self.results += 1

    def _publish(self) -> None:
        header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id="optical")
        self._publisher.publish(image_message(self._pixels, "rgb8", header))


def cpu_s(measured: psutil.Process) -> float:
    """Return the processor time that a process has used."""
    times = measured.cpu_times()
    return float(times.user + times.system)


def phase(
    name: str, node: psutil.Process, camera: Camera, page: Page | None, seconds: float
) -> None:
    """Measure for some seconds, and print a line."""
    time.sleep(_WARM_UP_S)
    results, used_s, drawn, start_s = camera.results, cpu_s(node), frames(page), time.monotonic()
    time.sleep(seconds)
    elapsed_s = time.monotonic() - start_s
    count = max(1, camera.results - results)
    line = (
        f"{name:28} node {1000 * (cpu_s(node) - used_s) / count:5.1f} ms a result, {count / elapsed_s:5.1f} results/s, "
        f"{node.memory_info().rss / 2**20:4.0f} MiB"
    )
    if page is not None:
        line += f"; page {(frames(page) - drawn) / elapsed_s:5.1f} images/s"
    print(line, flush=True)


def frames(page: Page | None) -> int:
    """Return how many images the page has drawn."""
    return 0 if page is None else int(page.locator(".tile").get_attribute("data-frames") or 0)


def typed_ms(page: Page) -> list[float]:
    """Type a class, wait until its objects are drawn, and remove it; five times."""
    durations = []
    for _ in range(5):
        page.get_by_label("Name of a new class").fill("blue")
        version = page.locator(".tile").get_attribute("data-version")
        start_s = time.monotonic()
        page.get_by_label("Name of a new class").press("Enter")
        while page.locator(".tile").get_attribute("data-version") == version:
            pass
        durations.append(1000 * (time.monotonic() - start_s))
        page.locator("#message").get_by_text("Applied.").wait_for()
        page.get_by_role("button", name="Undo").click()
        page.locator(".class[data-name='blue']").wait_for(state="detached")
        page.wait_for_timeout(500)
    return durations


def free_port() -> int:
    """Return a port that no program uses at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Run all phases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each phase (default: 15)")
    seconds = parser.parse_args().seconds
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    rclpy.init()
    port, chromium = free_port(), shutil.which("chromium")
    assert chromium is not None, "Chromium is not installed: apt-get install chromium"
    ros = (
        "--ros-args",
        "-r",
        f"__node:={_NODE}",
        "-p",
        "model:=fake",
        "-p",
        "classes:=[red, green]",
    )
    camera = Camera()
    with ExitStack() as stack:
        node = stack.enter_context(process("segmentation_node", *ros))
        while not camera.results:
            time.sleep(0.1)
        phase("one subscriber", node, camera, None, seconds)
        stack.enter_context(process("studio", "--port", str(port)))
        browser: Any = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        page = browser.new_page()
        while True:
            try:
                page.goto(f"http://127.0.0.1:{port}/")
                break
            except Exception:  # the studio is still starting
                time.sleep(0.5)
        page.locator(".tile[data-version='1']").wait_for()
        phase("and a browser", node, camera, page, seconds)
        durations = typed_ms(page)
        print(f"from key press to masks: {statistics.median(durations):.0f} ms (median of five)")
        for _ in range(10):
            slow = stack.enter_context(connect(f"ws://127.0.0.1:{port}/live"))
            slow.send('{"do": "look", "cameras": ["camera"], "id": 1}')
        phase("and ten pages that read nothing", node, camera, page, seconds)
        browser.close()
    os._exit(0)  # rclpy's thread still spins


if __name__ == "__main__":
    main()
