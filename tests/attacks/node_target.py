# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""segmentation_node as a process of its own, attacked over DDS."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import memory
import numpy as np
import rclpy
from attack import HANG_S, LOADING_S, START_S, HangError
from killed_processes import kill
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from own_time import Deadline
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from zs_seg_ros import srv
from zs_seg_ros.ros.repeated_request import RepeatedRequest
from zs_seg_ros.segmenters.fake import PALETTE

TRIES = 5


class NodeTarget:
    """A running node and the other side of its topics and services."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, model: str) -> None:
        self.process, self.log, self.model = process, log, model
        self.node = rclpy.create_node("attacker")
        self._clients: dict[str, list[Any]] = {}
        self._publishers: dict[str, Any] = {}
        self._labels: dict[str, dict[int, Image]] = {}
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self._count = 0
        self._start = rss = self.rss_mb()
        self.before_mb = rss

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._executor.shutdown()
        self.node.destroy_node()

    # what is measured

    def deadline(self, seconds: float) -> Deadline:
        return Deadline(self.process.pid, seconds)

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")

    def rss_mb(self) -> float:
        return memory.rss_mb(self.process.pid)

    def begin(self) -> None:
        memory.clear_peak(self.process.pid)
        self.before_mb = self.rss_mb()

    def memory_mb(self) -> tuple[float, float]:
        """Return resident memory before the input and its peak since."""
        return self.before_mb, memory.peak_mb(self.process.pid)

    def check_alive(self) -> str:
        """Wait for an answer; raises HangError where there is none in time."""
        if self.process.poll() is not None:
            return f"the process ended with exit code {self.process.returncode}"
        self.call(GetState, "get_state", GetState.Request())
        self.call(srv.GetVocabulary, "get_vocabulary", srv.GetVocabulary.Request())
        return ""

    # services

    def call(self, kind: Any, name: str, request: Any, timeout_s: float = HANG_S) -> Any:
        return self.wait(self.start(kind, name, request), name, timeout_s)

    def start(self, kind: Any, name: str, request: Any, caller: int = 0) -> Any:
        """Send a request of one of many callers and return its future."""
        self.add_callers(kind, name, caller + 1)
        return self._clients[name][caller].call_async(request)

    def add_callers(self, kind: Any, name: str, number: int) -> None:
        """Let there be so many clients of a service, which know it."""
        clients = self._clients.setdefault(name, [])
        new = [
            self.node.create_client(kind, f"/zs_seg/{name}") for _ in range(number - len(clients))
        ]
        if new:
            newest = self.node.create_client(GetState, "/zs_seg/get_state")
            if RepeatedRequest(newest, GetState.Request()).wait(START_S) is None:
                raise HangError(f"no answer of get_state before {name}")
            self.node.destroy_client(newest)
        clients += new

    def wait(self, future: Any, name: str, timeout_s: float) -> Any:
        """Return the answer; raises HangError where there is none in time."""
        deadline = self.deadline(timeout_s)
        while not future.done():
            if deadline.over() or self.process.poll() is not None:
                raise HangError(f"no answer of {name}")
            time.sleep(0.001)
        return future.result()

    def start_vocabulary(self, classes: list[Any], caller: int = 0) -> Any:
        request = srv.SetVocabulary.Request(classes=classes)
        return self.start(srv.SetVocabulary, "set_vocabulary", request, caller)

    def set_vocabulary(self, classes: list[Any], timeout_s: float = HANG_S) -> Any:
        return self.wait(self.start_vocabulary(classes), "set_vocabulary", timeout_s)

    def state(self, timeout_s: float = HANG_S) -> str:
        answer = self.call(GetState, "get_state", GetState.Request(), timeout_s)
        return str(answer.current_state.label)

    def change_state(self, label: str, number: int = 0, timeout_s: float = HANG_S) -> bool:
        request = ChangeState.Request(transition=Transition(id=number, label=label))
        return bool(self.call(ChangeState, "change_state", request, timeout_s).success)

    def set_parameters(self, *parameters: Any) -> list[Any]:
        request = SetParameters.Request(parameters=list(parameters))
        return list(self.call(SetParameters, "set_parameters", request).results)

    # images

    def publish(self, topic: str, message: Any) -> None:
        publisher = self._publishers.get(topic)
        if publisher is None:
            publisher = self._publishers[topic] = self.node.create_publisher(
                type(message), topic, 10
            )
            deadline = self.deadline(START_S)
            while not publisher.get_subscription_count():
                if deadline.over():
                    raise HangError(f"no subscription to {topic}")
                time.sleep(0.01)
            time.sleep(0.5)
        publisher.publish(message)

    def listen(self, camera: str) -> None:
        """Subscribe to results, so that the node processes the camera's images."""
        labels = self._labels[camera] = {}

        def received(message: Image) -> None:
            labels[message.header.stamp.nanosec] = message

        self.node.create_subscription(Image, f"/zs_seg/{camera}/label", received, 5)
        self.node.create_subscription(
            PointCloud2, f"/zs_seg/{camera}/points", lambda _: None, qos_profile_sensor_data
        )

    def good_image(self, camera: str, packed: bool) -> str:
        """Publish a good image, and return '' when its label is right."""
        labels = self._labels[camera]
        labels.clear()
        deadline = self.deadline(HANG_S)
        sent: list[int] = []
        while not deadline.over():
            self._count += 1
            sent.append(self._count)
            message = good_message(packed, self._count)
            suffix = "image_raw/compressed" if packed else "image_raw"
            self.publish(f"/{camera}/{suffix}", message)
            again = time.monotonic() + HANG_S / TRIES
            while time.monotonic() < again:
                # An answer to an earlier try counts, too: a slow model answers after the next one is sent.
                if label := next((labels[each] for each in sent if each in labels), None):
                    right = set(label.data) == {1} or self.model != "fake"
                    return "" if right else f"a good image got labels {set(label.data)}"
                time.sleep(0.001)
        raise HangError(f"no label of a good image of {camera}")


def good_message(packed: bool, number: int) -> Any:
    import cv2

    pixels = np.empty((24, 32, 3), np.uint8)
    pixels[:] = PALETTE["red"]
    if packed:
        data = cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()
        message: Any = CompressedImage(format="png", data=array("B", data))
    else:
        message = Image(height=24, width=32, step=96, encoding="rgb8")
        message.data = array("B", pixels.tobytes())
    now = time.time_ns() // 10**9
    message.header.stamp.sec, message.header.stamp.nanosec = now, number
    message.header.frame_id = "optical"
    return message


def good_info() -> CameraInfo:
    info = CameraInfo(height=24, width=32, distortion_model="plumb_bob")
    info.k = [30.0, 0.0, 16.0, 0.0, 30.0, 12.0, 0.0, 0.0, 1.0]
    return info


def command(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise SystemExit(
            f"{name} was not found: run this with scripts/run.sh, after `make workspace`"
        )
    return path


@contextmanager
def node_target(work: Path, *parameters: str, model: str = "fake") -> Iterator[NodeTarget]:
    """Start a node; parameters: NAME:=VALUE."""
    log = work / f"node_{time.monotonic_ns()}.log"
    arguments = [f"model:={model}", "min_area:=1", *parameters]
    words = ["--ros-args", "-r", "__node:=zs_seg"]
    for argument in arguments:
        words += ["-p", argument]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [command("segmentation_node"), *words], stdout=output, stderr=subprocess.STDOUT
        )
    target: NodeTarget | None = None
    try:
        target = NodeTarget(process, log, model)
        # While autostart loads the model, a lifecycle node of rclpy answers nothing.
        target.call(GetState, "get_state", GetState.Request(), LOADING_S)
        yield target
    finally:
        if target is not None:
            target.close()
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        try:
            process.wait(HANG_S)
        except subprocess.TimeoutExpired:
            kill(process)


def wait_for_state(target: NodeTarget, state: str) -> None:
    deadline = target.deadline(LOADING_S)
    while target.state(LOADING_S) != state:
        if deadline.over():
            raise HangError(f"the node did not become {state}")
        time.sleep(0.05)
