# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`bag_player` as an installed executable, which publishes over DDS."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import rclpy
from killed_processes import kill
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.rosbag2 import CompressionMode, StoragePlugin
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String
from std_srvs.srv import Trigger

from zs_seg_ros.bags.bag import Bag, offered_qos
from zs_seg_ros.ros.player.player_services import rosbag2
from zs_seg_ros.ros.repeated_request import RepeatedRequest
from zs_seg_ros.testing.bags import NOT_INSTALLED, write_recording

TIMEOUT_S = 30.0
START_NS = 1_700_000_000_000_000_000
STEP_NS = 20_000_000
COUNT = 50
RELIABLE = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


def written(folder: Path, **how: Any) -> Path:
    """Write one second: /count at 50 Hz; /state, latched, at 5 Hz; /sensor, best effort; /other, of an unknown type."""
    messages = [(START_NS, "/sensor", "warm"), (START_NS, "/other", "unknown")]
    for number in range(COUNT):
        time_ns = START_NS + number * STEP_NS
        if number % 10 == 0:
            messages.append((time_ns, "/state", f"state {number}"))
        # Three characters make a serialised size that is a multiple of four bytes: DDS pads others.
        messages.append((time_ns + 1, "/count", f"{number:03}"))
    offered = {
        "/state": [offered_qos(latched=True, depth=2)],
        "/sensor": [offered_qos(reliable=False, depth=3)],
        "/count": [offered_qos(depth=100)],
    }
    write_recording(folder, messages, offered, {"/other": NOT_INSTALLED}, **how)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("recordings") / "bag")


@contextmanager
def bag_player(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    executable = shutil.which("bag_player")
    assert executable is not None, "build the package and run the tests in its environment"
    process = subprocess.Popen(
        [executable, *(str(argument) for argument in arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        yield process
    finally:
        kill(process)
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert "Traceback" not in output
    return process.returncode, output


class Listener:
    """A node with subscriptions and clients, in a context of its own."""

    def __init__(self) -> None:
        self._context = rclpy.Context()
        self._context.init()
        self.node = Node("listener", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < end, "the condition did not become true"
            self._executor.spin_once(timeout_sec=0.05)

    def texts(self, topic: str, qos: QoSProfile = RELIABLE) -> list[str]:
        """Subscribe, and return a list to which received texts are appended."""
        received: list[str] = []
        self.node.create_subscription(String, topic, lambda m: received.append(m.data), qos)
        return received

    def serialised(self, topic: str) -> list[bytes]:
        received: list[bytes] = []
        self.node.create_subscription(String, topic, received.append, RELIABLE, raw=True)
        return received

    def times_ns(self) -> list[int]:
        received: list[int] = []
        self.node.create_subscription(
            Clock,
            "/clock",
            lambda m: received.append(m.clock.sec * 10**9 + m.clock.nanosec),
            RELIABLE,
        )
        return received

    def call(self, name: str, type_name: str) -> Any:
        """Call a service of the player, with rosbag2's type where that is installed."""
        kind = getattr(rosbag2, type_name, Trigger)
        return self.request(f"/bag_player/{name}", kind, kind.Request())

    def request(self, name: str, kind: Any, request: Any) -> Any:
        client = self.node.create_client(kind, name)
        probe = self.node.create_client(GetParameters, "/bag_player/get_parameters")  # the newest
        known = RepeatedRequest(probe, GetParameters.Request())
        self.wait_for(lambda: known.answer() is not None)
        future = client.call_async(request)
        self.wait_for(future.done)
        self.node.destroy_client(probe)
        self.node.destroy_client(client)
        return future.result()

    def set_rate(self, rate: float) -> Any:
        request = SetParameters.Request(
            parameters=[Parameter("rate", value=rate).to_parameter_msg()]
        )
        response = self.request("/bag_player/set_parameters", SetParameters, request)
        return response.results[0]


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    listening.close()


def numbers(texts: list[str]) -> list[int]:
    return [int(text) for text in texts]


@pytest.mark.parametrize(
    ("storage", "compression"),
    [
        (StoragePlugin.MCAP, CompressionMode.STORAGE),
        (StoragePlugin.SQLITE3, CompressionMode.NONE),
        (StoragePlugin.SQLITE3, CompressionMode.FILE),
        (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    ],
)
def test_every_recorded_byte_is_published_and_then_the_player_ends(
    listener: Listener, tmp_path: Path, storage: StoragePlugin, compression: CompressionMode
) -> None:
    folder = written(tmp_path / "bag", storage=storage, compression=compression)
    with Bag(folder) as bag:
        recorded = [message.serialised for message in bag.messages(["/count"])]
    received = listener.serialised("/count")
    with bag_player(folder, "--topics", "/count", "--wait-for-subscribers", "-r", 5) as process:
        listener.wait_for(lambda: len(received) >= COUNT)
        code, _ = ended(process)
    assert code == 0
    assert received == recorded


def test_topics_keep_their_qos_and_an_unknown_type_is_left_out(
    listener: Listener, folder: Path
) -> None:
    def offered(topic: str) -> QoSProfile:
        (publisher,) = listener.node.get_publishers_info_by_topic(topic)
        return publisher.qos_profile

    with bag_player(folder, "-p") as process:
        for topic in ("/count", "/state", "/sensor"):
            listener.wait_for(lambda topic=topic: listener.node.count_publishers(topic) == 1)
        assert offered("/count").reliability == ReliabilityPolicy.RELIABLE
        assert offered("/count").durability == DurabilityPolicy.VOLATILE
        assert offered("/state").durability == DurabilityPolicy.TRANSIENT_LOCAL
        assert offered("/sensor").reliability == ReliabilityPolicy.BEST_EFFORT
        assert listener.node.count_publishers("/other") == 0
        assert listener.node.count_publishers("/clock") == 0
        process.send_signal(signal.SIGTERM)
        code, output = ended(process)
    assert code == 0
    assert f"/other is left out: {NOT_INSTALLED} is not installed" in output


def test_topics_can_be_excluded_and_remapped(listener: Listener, folder: Path) -> None:
    received = listener.texts("/renamed")
    arguments = ("--exclude-topics", "/state", "/sensor", "-m", "/count:=/renamed")
    with bag_player(folder, *arguments, "--wait-for-subscribers", "-r", 5) as process:
        listener.wait_for(lambda: len(received) == COUNT)
        assert listener.node.count_publishers("/state") == 0
        assert ended(process)[0] == 0
    assert numbers(received) == list(range(COUNT))


def test_start_offset_and_duration_choose_a_part(listener: Listener, folder: Path) -> None:
    received = listener.texts("/count")
    part = ("--start-offset", 0.2, "--playback-duration", 0.1, "--topics", "/count")
    with bag_player(folder, *part, "--wait-for-subscribers") as process:
        assert ended(process)[0] == 0
    listener.wait_for(lambda: len(received) >= 5)
    assert numbers(received) == [10, 11, 12, 13, 14]


def test_what_was_latched_before_the_start_reaches_a_late_subscriber(
    listener: Listener, folder: Path
) -> None:
    with bag_player(folder, "-p", "--start-offset", 0.5):
        listener.wait_for(lambda: listener.node.count_publishers("/state") == 1)
        assert listener.call("is_paused", "IsPaused")
        received = listener.texts("/state", LATCHED)
        listener.wait_for(lambda: len(received) >= 2)
    assert received == ["state 10", "state 20"]


def test_on_loop_the_messages_start_again_and_the_clock_goes_back(
    listener: Listener, folder: Path
) -> None:
    received, times = listener.texts("/count"), listener.times_ns()
    with bag_player(folder, "--loop", "--clock", 100, "-r", 2, "--topics", "/count") as process:
        listener.wait_for(lambda: received.count("049") >= 2 and received[-1] == "005")
        process.send_signal(signal.SIGINT)
        assert ended(process)[0] == 0
    first_end = received.index("049")
    assert numbers(received[first_end + 1 : first_end + 1 + COUNT]) == list(range(COUNT))
    assert all(START_NS <= time_ns <= START_NS + COUNT * STEP_NS for time_ns in times)
    backwards = [now for before, now in pairwise(times) if now < before]
    assert 1 <= len(backwards) <= 2
    assert len(set(times)) > 10


def test_pause_step_and_resume_are_services(listener: Listener, folder: Path) -> None:
    received, times = listener.texts("/count"), listener.times_ns()
    with bag_player(folder, "--topics", "/count", "-p", "--clock", 100) as process:
        listener.wait_for(lambda: listener.node.count_publishers("/count") == 1)
        assert listener.call("play_next", "PlayNext").success
        assert listener.call("play_next", "PlayNext").success
        listener.wait_for(lambda: times[-1:] == [START_NS + STEP_NS + 1])
        published = len(times)
        listener.wait_for(lambda: len(times) >= published + 5)
        assert set(times[published:]) == {START_NS + STEP_NS + 1}
        listener.call("toggle_paused", "TogglePaused")
        listener.wait_for(lambda: len(received) >= 5)
        assert not listener.call("play_next", "PlayNext").success
        listener.call("pause", "Pause")
        listener.call("resume", "Resume")
        assert ended(process)[0] == 0
    listener.wait_for(lambda: received[-1:] == ["049"])
    assert numbers(received) == list(range(COUNT))[-len(received) :]
    assert times == sorted(times)


def test_the_stop_service_ends_the_player(listener: Listener, folder: Path) -> None:
    with bag_player(folder, "--loop") as process:
        listener.call("stop", "Stop")
        assert ended(process)[0] == 0


def test_the_rate_is_a_parameter_that_can_change(listener: Listener, folder: Path) -> None:
    """At the rate of the start it would take a quarter of an hour."""
    with bag_player(folder, "-r", 0.001) as process:
        refused = listener.set_rate(0.0)
        assert not refused.successful and "out of range" in refused.reason
        assert process.poll() is None
        assert listener.set_rate(50.0).successful
        assert ended(process)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--topics", "/nope"], "has no topic /nope; it has /count, /other, /sensor, /state"),
        (["--topics", "/other"], "nothing to play"),
        (["--start-offset", "60"], "lasts 0.980 s, and 60 s of it are to be skipped"),
        (["--rate", "0"], "0 is out of range: 0.001 to 1000"),
        (["--rate", "fast"], "--rate"),
        (["--start-offset", "-1"], "-1 is out of range: 0 or more"),
        (["--remap", "/count=/other"], "'/count=/other' is not OLD:=NEW"),
        (["--remap", "/count:=/no name"], "'/count:=/no name' is not OLD:=NEW"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_a_wrong_argument_is_reported_in_one_sentence(
    folder: Path, arguments: list[str], reason: str
) -> None:
    with bag_player(folder, *arguments) as process:
        code, output = ended(process)
    assert code == 2
    assert reason in output


def test_a_folder_without_a_recording_is_reported_in_one_sentence(tmp_path: Path) -> None:
    with bag_player(tmp_path) as process:
        assert ended(process) == (
            2,
            f"bag_player: {tmp_path} is no recording: it has no metadata.yaml and there is no .mcap or .db3 file "
            "in it; name the folder that `ros2 bag record` has written\n",
        )


def test_a_damaged_recording_ends_the_player_with_exit_code_2(tmp_path: Path) -> None:
    folder = written(tmp_path / "bag", storage=StoragePlugin.SQLITE3)
    (file,) = folder.glob("*.db3")
    data = bytearray(file.read_bytes())
    data[8192:] = bytes(len(data) - 8192)
    file.write_bytes(data)
    with bag_player(folder, "-r", 100) as process:
        code, output = ended(process)
    assert code == 2
    assert "record or copy it again" in output


def test_the_player_ends_without_subscribers(folder: Path) -> None:
    with bag_player(folder, "-r", 100, "--wait-for-all-acked", 0) as process:
        assert ended(process)[0] == 0
