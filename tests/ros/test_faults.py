# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What goes wrong around the node: it lives, diagnostics tell within two seconds, and the next good frame is right."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from killed_processes import kill
from planner import image_message, running_node, stripes, wait_until
from sensor_msgs.msg import Image

from zs_seg_ros.segmenters.fake import FakeSegmenter

IMAGE = stripes("red", "blue")
WITHIN_S = 2.0
"""Of this the node's own clockwork takes a second, which `running_node` makes a tenth of one."""

CAMERA = """
import sys, time
import rclpy
from planner import image_message, stripes, stamp
from sensor_msgs.msg import Image
rclpy.init()
publisher = rclpy.create_node("camera_process").create_publisher(Image, "/camera/image_raw", 1)
message = image_message(stripes("red", "blue"))
while True:
    stamp(message, time.time_ns())
    publisher.publish(message)
    time.sleep(0.05)
"""
READER = """
import rclpy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("reader")
node.create_subscription(Image, "/zs_seg/camera/label", lambda _: print("label", flush=True), 5)
rclpy.spin(node)
"""


@contextmanager
def script(source: str) -> Iterator[subprocess.Popen[str]]:
    """Python in a process of its own, which imports from this folder; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", source], cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        kill(process)
        process.communicate()


def _collect(stream: Iterable[str], lines: list[str]) -> None:
    with suppress(ValueError):  # the stream is closed when the process has been killed
        for line in stream:
            lines.append(line)


def lines_of(process: subprocess.Popen[str]) -> list[str]:
    """What a process prints; a list that grows."""
    lines: list[str] = []
    assert process.stdout is not None
    reading = threading.Thread(target=_collect, args=(process.stdout, lines), daemon=True)
    reading.start()
    return lines


def resident_mb() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_a_camera_that_is_killed_is_told_of_and_one_that_comes_again_is_heard() -> None:
    with running_node({"classes": ["red"]}) as planner:
        labels = planner.outputs()
        with script(CAMERA) as camera:
            wait_until(lambda: len(labels) > 20, "frames of the camera")
            kill(camera)
            killed = time.monotonic()
            status = planner.diagnosis_saying("camera", "/camera/image_raw")
            assert time.monotonic() - killed < WITHIN_S + 5  # a busy machine
            assert status.level == status.WARN
        count = len(labels)
        with script(CAMERA):
            wait_until(lambda: len(labels) > count + 5, "frames of the camera that came again")
            planner.diagnosis("camera", lambda s: s.level == s.OK, "nothing wrong")


def test_a_slow_camera_is_not_called_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zs_seg_ros.ros.matching_subscription.SILENCE_S", 0.2)
    with running_node({"classes": ["red"]}) as planner:
        planner.outputs()
        arrays = planner.listen("/diagnostics", object, 10)
        for _ in range(4):
            planner.send(image_message(IMAGE))
            time.sleep(0.6)
        seen = len(arrays)
        planner.send(image_message(IMAGE))
        time.sleep(0.6)
        newest = [s for a in arrays[seen:] for s in a.status if s.name.endswith(": camera")]
        assert newest and not any("silent" in s.message for s in newest)


def test_a_subscriber_that_stops_reading_holds_up_nobody() -> None:
    with running_node({"classes": ["red"]}) as planner, script(READER) as reader:
        read = lines_of(reader)
        topic = "/zs_seg/camera/label"
        planner.outputs()
        wait_until(lambda: planner.node.count_subscribers(topic) == 2, "the reader")

        def reads() -> bool:
            planner.label_of(IMAGE)
            return bool(read)

        wait_until(reads, "a label that is read")
        reader.send_signal(signal.SIGSTOP)
        before = resident_mb()
        for _ in range(100):
            assert planner.label_of(IMAGE)[0, ::16].tolist() == [1, 0]
        assert resident_mb() - before < 50
        read.clear()
        reader.send_signal(signal.SIGCONT)
        wait_until(reads, "a label that is read again")


class Held(FakeSegmenter):
    """At work until a test lets it go on, once it was told to be."""

    hold = False
    working, go_on = threading.Event(), threading.Event()

    def segment(self, batch: object, encoded: object) -> object:
        if Held.hold:
            Held.working.set()
            Held.go_on.wait(20)
        return super().segment(batch, encoded)  # type: ignore[arg-type]


def test_transitions_in_every_order_leave_a_node_that_can_be_brought_up() -> None:
    transitions = ("configure", "activate", "deactivate", "cleanup")
    with running_node({"classes": ["red"], "autostart": False}, state="unconfigured") as planner:
        for first, second in itertools.product(transitions, repeat=2):
            planner.change_state(first)
            planner.change_state(second)
        bring_up = {
            "unconfigured": ["configure", "activate"],
            "inactive": ["activate"],
            "active": [],
        }
        for transition in bring_up[planner.state]:
            assert planner.change_state(transition)
        assert planner.label_of(IMAGE)[0, ::16].tolist() == [1, 0]


@pytest.mark.parametrize("down", [["deactivate"], ["deactivate", "cleanup"]])
def test_transitions_in_the_middle_of_a_frame_leave_a_node_that_works(
    down: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zs_seg_ros.segmenters.fake.FakeSegmenter", Held)
    Held.working.clear()
    Held.go_on.clear()
    with running_node({"classes": ["red"]}) as planner:
        planner.outputs()
        Held.hold = True
        planner.send(image_message(IMAGE))
        assert Held.working.wait(20)
        Held.hold = False
        threading.Timer(0.3, Held.go_on.set).start()
        for transition in down:
            assert planner.change_state(transition)
        for transition in reversed(
            [{"deactivate": "activate", "cleanup": "configure"}[d] for d in down]
        ):
            assert planner.change_state(transition)
        assert planner.label_of(IMAGE)[0, ::16].tolist() == [1, 0]


def test_publishers_of_both_reliabilities_at_once_are_heard() -> None:
    from planner import BEST_EFFORT

    with running_node({"classes": ["red"]}) as planner:
        labels = planner.outputs()
        careless = planner.node.create_publisher(Image, "/camera/image_raw", BEST_EFFORT)
        careful = planner.node.create_publisher(Image, "/camera/image_raw", 1)
        for publisher in (careless, careful):
            wait_until(publisher.get_subscription_count, "the node's subscription")
            count, until = len(labels), time.monotonic() + 20
            while len(labels) == count:  # best effort may lose one
                assert time.monotonic() < until
                publisher.publish(image_message(IMAGE))
                time.sleep(0.05)
