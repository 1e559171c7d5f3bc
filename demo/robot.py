# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The demo's ROS node: a client of segmentation_node, as a planner would be one, that records the results."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from numpy.typing import NDArray
from processes import DemoError
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_sensor_data,
)
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from zs_seg_ros.msg import TargetClass, Vocabulary
from zs_seg_ros.ros.repeated_request import RepeatedRequest
from zs_seg_ros.srv import SetVocabulary

NODE = "/zs_seg"
CAMERA = "camera"
RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=10,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


@dataclass(frozen=True)
class VocabularyInForce:
    """A message of ~/vocabulary. since_ns: the stamp from which it is in force; 0 before the first change."""

    version: int
    since_ns: int
    ids: dict[str, int]


@dataclass
class Received:
    """All received messages; frames are keyed by their stamp in nanoseconds."""

    truth: dict[int, NDArray[np.uint8]] = field(default_factory=dict)  # (H, W) ground truth labels
    labels: dict[int, NDArray[np.uint16]] = field(default_factory=dict)  # (H, W) class ids
    label_received_ns: dict[int, int] = field(default_factory=dict)
    overlays: dict[int, NDArray[np.uint8]] = field(default_factory=dict)  # (H, W, 3) RGB
    vocabularies: list[VocabularyInForce] = field(default_factory=list)
    diagnostics: dict[str, DiagnosticStatus] = field(default_factory=dict)


@dataclass(frozen=True)
class VocabularyChange:
    """One call of ~/set_vocabulary, in nanoseconds of the system's clock."""

    called_ns: int
    answered_ns: int
    warnings: tuple[str, ...]
    ids: dict[str, int]

    @property
    def call_ms(self) -> float:
        return (self.answered_ns - self.called_ns) / 1e6


def stamp_ns(message: Any) -> int:
    """Return the stamp of a message in nanoseconds."""
    stamp = message.header.stamp
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def pixels_of(message: Image) -> NDArray[Any]:
    """(H, W) or (H, W, 3), in the message's own type."""
    kinds: dict[str, tuple[type, int]] = {
        "mono8": (np.uint8, 1),
        "mono16": (np.uint16, 1),
        "rgb8": (np.uint8, 3),
    }
    kind, channels = kinds[message.encoding]
    flat: NDArray[Any] = np.frombuffer(message.data, kind)
    shape = (message.height, message.width, channels)
    return flat.reshape(shape if channels > 1 else shape[:2])


class Robot:
    """Subscribes to everything that the demo shows and calls the services. Use it with `with`."""

    def __init__(self, check: Callable[[], None]) -> None:
        """`check` is called repeatedly while waiting; it raises when a process has died."""
        self._check = check
        self.received = Received()
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # run_demo.py handles ctrl-C
        self._node = Node("demo")
        self._set_vocabulary = self._node.create_client(SetVocabulary, f"{NODE}/set_vocabulary")
        subscriptions = (
            (Image, f"{NODE}/{CAMERA}/label", self._on_label, RELIABLE),
            (Image, f"{NODE}/{CAMERA}/overlay", self._on_overlay, qos_profile_sensor_data),
            (Image, f"/{CAMERA}/ground_truth/label", self._on_truth, RELIABLE),
            (Vocabulary, f"{NODE}/vocabulary", self._on_vocabulary, LATCHED),
            (DiagnosticArray, "/diagnostics", self._on_diagnostics, RELIABLE),
        )
        for message_type, topic, callback, qos in subscriptions:
            self._node.create_subscription(message_type, topic, callback, qos)
        get_state = self._node.create_client(GetState, f"{NODE}/get_state")  # the newest
        self._state = RepeatedRequest(get_state, GetState.Request())

    def __enter__(self) -> Robot:
        return self

    def __exit__(self, *exception: object) -> None:
        self._node.destroy_node()
        rclpy.try_shutdown()

    def wait_for(self, what: str, done: Callable[[], bool], timeout_s: float) -> None:
        """Receive messages until done() is true. Raises DemoError after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not done():
            if time.monotonic() > deadline:
                raise DemoError(f"waited {timeout_s:.0f} s in vain for {what}")
            rclpy.spin_once(self._node, timeout_sec=0.05)
            self._check()

    def wait_until_active(self, timeout_s: float) -> None:
        """Wait for ACTIVE. Raises DemoError at once when /diagnostics report an error of the model."""

        def active() -> bool:
            self._raise_reported_error()
            answer = self._state.answer()
            return answer is not None and answer.current_state.id == State.PRIMARY_STATE_ACTIVE

        self.wait_for("segmentation_node to become ACTIVE", active, timeout_s)
        self.wait_for(
            "the service ~/set_vocabulary", self._set_vocabulary.service_is_ready, timeout_s
        )

    def set_vocabulary(self, names: tuple[str, ...], timeout_s: float) -> VocabularyChange:
        """Change the vocabulary while messages are received. Raises DemoError when it is refused."""
        request = SetVocabulary.Request(classes=[TargetClass(name=name) for name in names])
        called_ns = time.time_ns()
        answer = self._set_vocabulary.call_async(request)
        answered_ns: list[int] = []
        answer.add_done_callback(lambda _: answered_ns.append(time.time_ns()))
        self.wait_for("an answer of ~/set_vocabulary", lambda: bool(answered_ns), timeout_s)
        response = answer.result()
        if not response.success:
            raise DemoError(f"the vocabulary {', '.join(names)} was refused: {response.message}")
        ids = _ids(response.vocabulary)
        return VocabularyChange(called_ns, answered_ns[0], tuple(response.warnings), ids)

    def _raise_reported_error(self) -> None:
        for status in self.received.diagnostics.values():
            if status.level == DiagnosticStatus.ERROR and status.name.endswith("model"):
                raise DemoError(f"{status.name} reports: {status.message}")

    def _on_label(self, message: Image) -> None:
        now_ns = time.time_ns()
        stamp = stamp_ns(message)
        self.received.labels[stamp] = pixels_of(message).astype(np.uint16)
        self.received.label_received_ns[stamp] = now_ns

    def _on_overlay(self, message: Image) -> None:
        self.received.overlays[stamp_ns(message)] = pixels_of(message)

    def _on_truth(self, message: Image) -> None:
        self.received.truth[stamp_ns(message)] = pixels_of(message)

    def _on_vocabulary(self, message: Vocabulary) -> None:
        in_force = VocabularyInForce(message.version, stamp_ns(message), _ids(message))
        self.received.vocabularies.append(in_force)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.received.diagnostics |= {status.name: status for status in message.status}


def _ids(vocabulary: Vocabulary) -> dict[str, int]:
    names = [target.name for target in vocabulary.classes]
    return dict(zip(names, (int(i) for i in vocabulary.ids), strict=True))
