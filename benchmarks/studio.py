# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What the studio costs a node, and how fast its page is: `python benchmarks/studio.py`.

A node segments images at 30 Hz. Its processor time for each result, its rate and its memory are measured
with one subscriber to its objects alone, then with a browser at the studio beside it, then in turns with and without
ten more pages that read nothing, whose medians are compared. The page counts the images that it draws; the processor
time of the studio and of all processes of the browser is divided by them. A class is typed several times, and in
between set by a client of the node alone, whose first result with it is the node's own time: the difference is what
the studio and the page take from the key press to the masks on the screen. At the end vocabularies of many classes are
imported and applied, and one class is typed beside them. It needs Chromium and Playwright, and an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import rclpy
from playwright.sync_api import Page, sync_playwright
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from zs_seg_ros.files import write_output
from zs_seg_ros.msg import ObjectMaskArray
from zs_seg_ros.ros.conversions import image_message, target_message
from zs_seg_ros.ros.own_domain import use_own_domain
from zs_seg_ros.segmenters.fake import PALETTE
from zs_seg_ros.srv import SetVocabulary
from zs_seg_ros.vocabulary.vocabulary import TargetClass

_RATE_HZ = 30.0
_NODE = "zs_seg"
_WARM_UP_S = 3.0
_CHANGES = 9
_STALLED = 10
_KINDS = ["mug", "bowl", "fork", "spoon", "knife", "plate", "duck", "bear", "cube", "drill"]
_ATTRIBUTES = [f"{colour}{number}" for number in range(10) for colour in "abcde"]


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

    def __init__(self, width: int, height: int) -> None:
        self.results = 0
        self.in_force = 0
        self._version = 0
        self._arrived = threading.Condition()
        self._node = rclpy.create_node("camera")
        self._publisher = self._node.create_publisher(Image, "/camera/image_raw", 1)
        self._node.create_subscription(ObjectMaskArray, f"/{_NODE}/camera/objects", self._count, 5)
        self._client = self._node.create_client(SetVocabulary, f"/{_NODE}/set_vocabulary")
        columns = np.repeat(
            [PALETTE[name] for name in ("red", "green", "blue")], width // 3 + 1, axis=0
        )
        self._pixels = np.broadcast_to(columns[:width].astype(np.uint8), (height, width, 3))
        self._node.create_timer(1 / _RATE_HZ, self._publish)
        executor = SingleThreadedExecutor()
        executor.add_node(self._node)
        threading.Thread(target=executor.spin, daemon=True).start()

    def _count(self, message: ObjectMaskArray) -> None:
        with self._arrived:
            self.results += 1
            self._version = message.vocabulary_version
            self._arrived.notify_all()

    def changed_ms(self, *names: str) -> float:
        """Set a vocabulary, and return the time until the first result with it."""
        request = SetVocabulary.Request(classes=[target_message(TargetClass(n)) for n in names])
        start_s = time.monotonic()
        future = self._client.call_async(request)
        while not future.done():
            time.sleep(0.0005)
        self.in_force = future.result().vocabulary.version
        with self._arrived:
            self._arrived.wait_for(lambda: self._version >= self.in_force)
        return 1000 * (time.monotonic() - start_s)

    def _publish(self) -> None:
        header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id="optical")
        self._publisher.publish(image_message(self._pixels, "rgb8", header))


class Chromium:
    """A browser, and the processor time of all its processes."""

    def __init__(self, launched: Any) -> None:
        self.launched = launched

    @property
    def cpu_s(self) -> float:
        """The processor time that they have used."""
        own = psutil.Process().children(recursive=True)
        return sum(cpu_s(process) for process in own if "chrom" in process.name())


def cpu_s(measured: psutil.Process) -> float:
    """Return the processor time that a process has used."""
    try:
        times = measured.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


class Measured:
    """What is measured in each phase."""

    def __init__(self, node: psutil.Process, camera: Camera, seconds: float) -> None:
        self._node, self._camera, self._seconds = node, camera, seconds
        self.page: Page | None = None
        self.studio: psutil.Process | None = None
        self.browser: Chromium | None = None

    def _counts(self) -> dict[str, float]:
        counts = {"results": float(self._camera.results), "node": cpu_s(self._node)}
        if self.page is not None and self.studio is not None and self.browser is not None:
            counts["drawn"] = float(self.page.locator(".tile").get_attribute("data-frames") or 0)
            counts["studio"], counts["browser"] = cpu_s(self.studio), self.browser.cpu_s
        return counts

    def phase(self, name: str) -> float:
        """Measure for some seconds, print a line, and return the processor time of the node for each result, in ms."""
        time.sleep(_WARM_UP_S)
        before, start_s = self._counts(), time.monotonic()
        time.sleep(self._seconds)
        elapsed_s = time.monotonic() - start_s
        used = {key: value - before[key] for key, value in self._counts().items()}
        results = max(1.0, used["results"])
        line = (
            f"{name:32} node {1000 * used['node'] / results:5.1f} ms a result, {results / elapsed_s:4.1f} results/s, "
            f"{self._node.memory_info().rss / 2**20:3.0f} MiB"
        )
        if "drawn" in used:
            drawn = max(1.0, used["drawn"])
            line += (
                f"; page {drawn / elapsed_s:4.1f} images/s, {100 * drawn / results:3.0f} %; an image takes the studio "
                f"{1000 * used['studio'] / drawn:4.1f} ms and the browser {1000 * used['browser'] / drawn:4.1f} ms"
            )
        print(line, flush=True)
        return 1000 * used["node"] / results


WATCH = """() => {
    const tile = document.querySelector('.tile');
    const before = tile.dataset.version;
    window.typed = null;
    let start = 0;
    addEventListener('keydown', () => { start = performance.now(); }, { once: true, capture: true });
    const observer = new MutationObserver(() => {
        if (tile.dataset.version === before) return;
        observer.disconnect();
        requestAnimationFrame(() => setTimeout(() => { window.typed = performance.now() - start; }));
    });
    observer.observe(tile, { attributes: true, attributeFilter: ['data-version'] });
}"""
"""Takes the time from the next key press to the frame on the screen that has masks of another vocabulary."""


def typed_ms(page: Page) -> float:
    """Type a class, and return the time until its objects are on the screen; then remove it."""
    page.get_by_label("Name of a new class").fill("blue")
    page.evaluate(WATCH)
    page.get_by_label("Name of a new class").press("Enter")
    while (duration := page.evaluate("window.typed")) is None:
        page.wait_for_timeout(20)
    page.locator("#message").get_by_text("Applied.").wait_for()
    return float(duration)


def latencies(page: Page, camera: Camera) -> tuple[list[float], list[float]]:
    """Return times from a key press to masks, and those of the node alone, taken in turns."""
    typed, alone = [], []
    for _ in range(_CHANGES):
        typed.append(typed_ms(page))
        for names in (("red", "green"), ("red", "green", "blue"), ("red", "green")):
            duration = camera.changed_ms(*names)
            if "blue" in names:
                alone.append(duration)
            # The page asks whose vocabulary is meant when it has not received this one yet.
            page.locator(f"#version:text-is('version {camera.in_force}')").wait_for()
            page.wait_for_timeout(300)
    return typed, alone


@contextmanager
def stalled_page(port: int) -> Iterator[None]:
    """A page that asks for the camera and never reads: the socket's buffer fills, as with a frozen tab."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        head = (
            f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        connection.sendall(head.encode())
        while b"\r\n\r\n" not in connection.recv(4096, socket.MSG_PEEK):
            time.sleep(0.01)
        text = json.dumps({"do": "look", "cameras": ["camera"], "id": 1}).encode()
        mask = bytes(4)  # which leaves the text as it is
        connection.sendall(bytes((0x81, 0x80 | len(text))) + mask + text)
        yield


def stalled_pages_ms(measured: Measured, port: int, turns: int) -> float:
    """Return what ten pages that read nothing cost the node for each result, from phases in turns."""
    without, beside = [], []
    for _ in range(turns):
        without.append(measured.phase("and a browser"))
        with ExitStack() as stack:
            for _ in range(_STALLED):
                stack.enter_context(stalled_page(port))
            beside.append(measured.phase("and ten pages that read nothing"))
    return statistics.median(beside) - statistics.median(without)


APPLIED = """(button) => new Promise((resolve, reject) => {
    const [tile, message] = ['.tile', '#message'].map((each) => document.querySelector(each));
    const before = tile.dataset.version;
    const times = {};
    message.textContent = '';
    const start = performance.now();
    const observer = new MutationObserver(() => {
        if (tile.dataset.version !== before) times.drawn ??= performance.now() - start;
        if (message.textContent.startsWith('Applied'))
            requestAnimationFrame(() => setTimeout(() => { times.applied ??= performance.now() - start; }));
        if (!times.drawn || !times.applied) return;
        observer.disconnect();
        resolve(times);
    });
    observer.observe(tile, { attributes: true, attributeFilter: ['data-version'] });
    observer.observe(message, { childList: true, characterData: true, subtree: true });
    setTimeout(() => reject(new Error(`not applied: ${message.textContent}`)), 120_000);
    document.querySelector(button).click();
})"""
"""Takes the times from a click until the page says that a vocabulary is in force, and until it draws masks of it."""


def many_classes(page: Page, camera: Camera, counts: list[int]) -> None:
    """Print how long vocabularies of many classes take, by the page and by a client of the node alone."""
    names = ["red", "green", *(f"{a} {kind}" for a in _ATTRIBUTES for kind in _KINDS)]
    for count in counts:
        alone_ms = camera.changed_ms(*names[:count], "alone")
        page.locator(f"#version:text-is('version {camera.in_force}')").wait_for()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "many.yaml"
            write_output(file, f"classes: [{', '.join(names[:count])}]".encode())
            page.locator("#import").set_input_files(file)
            page.locator("#message").get_by_text(f"{count} classes of").wait_for()
        page.wait_for_timeout(1000)
        applied = page.evaluate(APPLIED, "#apply")
        page.wait_for_timeout(1000)
        page.get_by_label("Name of a new class").fill("typed")
        typed = page.evaluate(APPLIED, "#add button")
        page.wait_for_timeout(1000)
        print(
            f"{count:3} classes: the node alone {alone_ms:.0f} ms; applied by the page in {applied['applied']:.0f} ms, "
            f"drawn after {applied['drawn']:.0f}; one more class in {typed['applied']:.0f} and {typed['drawn']:.0f} ms",
            flush=True,
        )


def free_port() -> int:
    """Return a port that no program uses at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Run all phases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each phase (default: 15)")
    parser.add_argument(
        "--turns", type=int, default=3, help="with and without ten slow pages (default: 3)"
    )
    parser.add_argument(
        "--classes",
        type=int,
        nargs="*",
        default=[20, 200, 500],
        help="vocabularies of so many (default: 20 200 500)",
    )
    parser.add_argument("--model", default="fake", help="of the node (default: fake)")
    parser.add_argument("--size", default="640x480", help="of the images (default: 640x480)")
    arguments = parser.parse_args()
    use_own_domain()
    rclpy.init()
    port, chromium = free_port(), shutil.which("chromium")
    assert chromium is not None, "Chromium is not installed: apt-get install chromium"
    ros = (
        "--ros-args",
        "-r",
        f"__node:={_NODE}",
        "-p",
        f"model:={arguments.model}",
        "-p",
        "classes:=[red, green]",
    )
    width, height = map(int, arguments.size.split("x"))
    camera = Camera(width, height)
    with ExitStack() as stack:
        node = stack.enter_context(process("segmentation_node", *ros))
        while not camera.results:
            time.sleep(0.1)
        measured = Measured(node, camera, arguments.seconds)
        measured.phase("one subscriber")
        measured.studio = stack.enter_context(process("studio", "--port", str(port)))
        browser: Any = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        measured.browser = Chromium(browser)
        page = browser.new_page()
        while True:
            try:
                page.goto(f"http://127.0.0.1:{port}/")
                break
            except Exception:  # the studio is still starting
                time.sleep(0.5)
        page.locator(".tile[data-version='1']").wait_for()
        measured.page = page
        measured.phase("and a browser")
        typed, alone = map(statistics.median, latencies(page, camera))
        print(
            f"from key press to masks: {typed:.0f} ms, of which the node alone takes {alone:.0f} ms (medians of "
            f"{_CHANGES}); the studio and the page: {typed - alone:.0f} ms",
            flush=True,
        )
        cost_ms = stalled_pages_ms(measured, port, arguments.turns)
        print(f"ten pages that read nothing cost the node {cost_ms:+.1f} ms a result", flush=True)
        many_classes(page, camera, arguments.classes)
        browser.close()
    os._exit(0)  # rclpy's thread still spins


if __name__ == "__main__":
    main()
