# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`tabletop_camera` as an installed executable, which publishes over DDS."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import rclpy
from killed_processes import kill
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from small_bags import SHIPPED_BAG

from zs_seg_ros.bags.bag import Bag, shipped_bag
from zs_seg_ros.errors import BagError

TIMEOUT_S = 30.0
RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
IMAGES = {
    "image_raw": "rgb8",
    "depth/image_raw": "16UC1",
    "ground_truth/label": "mono8",
    "ground_truth/instance": "mono8",
}


@contextmanager
def tabletop_camera(*parameters: str) -> Iterator[subprocess.Popen[str]]:
    """Start the camera with parameters "name:=value"; kill it at the end of the block if it still runs."""
    executable = shutil.which("tabletop_camera")
    assert executable is not None, "build the package and run the tests in its environment"
    command = [executable, "--ros-args", *(word for p in parameters for word in ("-p", p))]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ.copy()
    )
    try:
        yield process
    finally:
        kill(process)
        process.communicate()


class Viewer:
    """Subscribes to every topic of a camera. images: by topic and stamp in ns; infos: by stamp in ns."""

    def __init__(self, camera: str) -> None:
        self.node = Node("viewer")
        self.images: dict[str, dict[int, Image]] = defaultdict(dict)
        self.infos: dict[int, CameraInfo] = {}
        for topic in IMAGES:
            # Both kinds of reliability: the camera must match both.
            qos = BEST_EFFORT if topic == "depth/image_raw" else RELIABLE
            self.node.create_subscription(
                Image, f"/{camera}/{topic}", lambda m, t=topic: self._on_image(t, m), qos
            )
        self.node.create_subscription(CameraInfo, f"/{camera}/camera_info", self._on_info, RELIABLE)

    def _on_image(self, topic: str, message: Image) -> None:
        self.images[topic][_stamp_ns(message)] = message

    def _on_info(self, message: CameraInfo) -> None:
        self.infos[_stamp_ns(message)] = message

    def complete_frames(self) -> list[int]:
        """Return the stamps of the frames of which every message was received."""
        stamps = set(self.infos)
        for topic in IMAGES:
            stamps &= set(self.images[topic])
        return sorted(stamps)

    def wait_for_frames(self, frames: int) -> list[int]:
        """Wait for a number of complete frames, and return their stamps."""
        deadline = time.monotonic() + TIMEOUT_S
        while len(self.complete_frames()) < frames:
            counts = {topic: len(images) for topic, images in self.images.items()}
            assert time.monotonic() < deadline, (
                f"no {frames} complete frames were received: {counts}"
            )
            rclpy.spin_once(self.node, timeout_sec=0.1)
        return self.complete_frames()


def _stamp_ns(message: Image | CameraInfo) -> int:
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)


@contextmanager
def viewer(camera: str = "camera") -> Iterator[Viewer]:
    view = Viewer(camera)
    try:
        yield view
    finally:
        view.node.destroy_node()


def test_without_parameters_its_recording_is_that_of_the_package() -> None:
    assert (shipped_bag() / "tabletop.mcap").read_bytes() == (
        SHIPPED_BAG / "tabletop.mcap"
    ).read_bytes()


@pytest.mark.parametrize("prefixes", [None, "", "/nowhere"])
def test_a_shell_without_the_package_gets_a_sentence(
    monkeypatch: pytest.MonkeyPatch, prefixes: str | None
) -> None:
    if prefixes is None:
        monkeypatch.delenv("AMENT_PREFIX_PATH")
    else:
        monkeypatch.setenv("AMENT_PREFIX_PATH", prefixes)
    with pytest.raises(BagError, match="source its setup file or name a recording"):
        shipped_bag()


@pytest.fixture(scope="module")
def short_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first three frames of the shipped recording, under the same topics."""
    from rosbags.rosbag2 import StoragePlugin, Writer

    folder = tmp_path_factory.mktemp("recordings") / "short"
    with (
        Bag(shipped_bag()) as whole,
        Writer(folder, version=8, storage_plugin=StoragePlugin.MCAP) as writer,
    ):
        connections = {
            c.topic: writer.add_connection(
                c.topic, c.message_type, msgdef=c.definition, rihs01=c.type_hash
            )
            for c in whole.channels
            if c.topic.startswith("/camera/") and not c.topic.endswith("label_info")
        }
        for message in whole.messages(connections):
            if message.time_ns >= whole.start_ns + 3 * 10**8:
                break
            writer.write(connections[message.topic.name], message.time_ns, message.serialised)
    return folder


def test_every_topic_of_a_frame_has_one_stamp_and_sigint_ends_the_camera() -> None:
    with tabletop_camera() as process, viewer() as view:
        stamps = view.wait_for_frames(frames=15)
        now_ns = time.time_ns()
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 0
    assert now_ns - 60e9 < stamps[0] < now_ns
    gaps_s = np.diff(sorted(view.images["image_raw"])) / 1e9
    assert 0.05 < np.median(gaps_s) < 0.2
    for topic, encoding in IMAGES.items():
        image = view.images[topic][stamps[0]]
        assert (image.encoding, image.width, image.height) == (encoding, 320, 240)
        assert image.header.frame_id == "camera_color_optical_frame"
        assert len(image.data) == image.step * image.height
    assert view.infos[stamps[0]].k[0] > 200


def test_the_pixels_are_those_of_the_recording(short_recording: Path) -> None:
    with Bag(short_recording) as bag:
        recorded = [m.content.data.tobytes() for m in bag.messages(["/camera/image_raw"])]
    with tabletop_camera(f"recording:={short_recording}"), viewer() as view:
        stamps = view.wait_for_frames(frames=4)
        published = [bytes(view.images["image_raw"][stamp].data) for stamp in stamps]
    assert set(published) <= set(recorded)


def test_playback_starts_again_at_the_end(short_recording: Path) -> None:
    parameters = (f"recording:={short_recording}", "rate_hz:=50.0")
    with tabletop_camera(*parameters), viewer() as view:
        stamps = view.wait_for_frames(frames=9)
    images = {bytes(view.images["image_raw"][stamp].data) for stamp in stamps}
    assert len(images) == 3


def test_without_loop_publishing_stops_at_the_end_and_sigterm_ends_the_camera(
    short_recording: Path,
) -> None:
    parameters = (f"recording:={short_recording}", "loop:=false")
    with tabletop_camera(*parameters) as process:
        output = ""
        while "the recording is over" not in output:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"the camera ended by itself: {output}"
            output += line
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0


def test_another_name_of_the_camera_gives_other_topics_and_frames(short_recording: Path) -> None:
    parameters = (f"recording:={short_recording}", "camera:=front")
    with tabletop_camera(*parameters), viewer("front") as view:
        stamp = view.wait_for_frames(frames=1)[0]
        assert view.infos[stamp].header.frame_id == "front_color_optical_frame"


def test_a_missing_recording_is_reported_in_one_sentence(tmp_path: Path) -> None:
    with tabletop_camera(f"recording:={tmp_path / 'nothing'}") as process:
        output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    assert f"there is no recording {tmp_path / 'nothing'}" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [("rate_hz:=0.0", "rate_hz out of range"), ("rate_hz:=fast", "expecting type 'DOUBLE'")],
)
def test_a_wrong_parameter_is_reported_with_the_reason(
    short_recording: Path, parameter: str, reason: str
) -> None:
    with tabletop_camera(f"recording:={short_recording}", parameter) as process:
        output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    assert reason in output
    assert "Traceback" not in output
