# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A client of a running segmentation_node: its lifecycle state, parameters, vocabulary and diagnostics."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions

import zs_seg_ros.msg as messages
import zs_seg_ros.srv as services
from zs_seg_ros.errors import ReplayError
from zs_seg_ros.replay.results import DIGITS, Setting
from zs_seg_ros.ros.repeated_request import RepeatedRequest
from zs_seg_ros.vocabulary.vocabulary import TargetClass

REPLAY_QOS = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
DISCOVERY_TIMEOUT_S = 20.0
_SPIN_S = 0.05
_MARKS = ("[WARN]", "[ERROR]", "[FATAL]")
_LATER_SETTINGS = {"inference_size": 0, "mask_inference_size": 0, "output_scale": 1.0}
"""Parameters that golden files of earlier versions lack, and their defaults, which are not written."""
_SETTINGS = (
    *("model", "default_threshold", "min_area", "max_objects", "track", "precision"),
    *_LATER_SETTINGS,
)
"""The parameters that change results, apart from those of the cameras."""


class NodeUnderTest:
    """Owns a ROS node, `node`; messages are received while a method waits. Use it with `with`."""

    def __init__(
        self, name: str, check: Callable[[], None] = lambda: None, log: Path | None = None
    ) -> None:
        """name: fully qualified. check: called repeatedly while waiting; raises when waiting has become pointless.

        log: the file for the node's output; its last errors are a part of error messages.
        """
        self.name = name
        self._log = log
        self._check = check
        self._errors: dict[str, str] = {}
        self._model_values: dict[str, str] = {}
        rclpy.init(
            args=[], signal_handler_options=SignalHandlerOptions.NO
        )  # replay_test handles them
        self.node = Node("replay_test")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._get_parameters = self._client(GetParameters, "get_parameters")
        self._set_vocabulary = self._client(services.SetVocabulary, "set_vocabulary")
        self._get_vocabulary = self._client(services.GetVocabulary, "get_vocabulary")
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        get_state = self._client(GetState, "get_state")  # the newest: see RepeatedRequest
        self._state = RepeatedRequest(get_state, GetState.Request())

    def __enter__(self) -> NodeUnderTest:
        return self

    def __exit__(self, *exception: object) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()

    def _client(self, service_type: Any, name: str) -> Any:
        return self.node.create_client(service_type, f"{self.name}/{name}")

    def spin_once(self, timeout_s: float = _SPIN_S) -> None:
        """Process received messages. Raises what `check` raises."""
        self._executor.spin_once(timeout_sec=timeout_s)
        self._check()

    def spin_until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Process messages until done() is true, and return True; return False after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not done():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            self.spin_once(min(_SPIN_S, left_s))
        return True

    def wait_for(self, what: str, done: Callable[[], bool], timeout_s: float) -> None:
        """Process messages until done() is true. Raises ReplayError after `timeout_s`, with the node's errors."""
        if not self.spin_until(done, timeout_s):
            raise ReplayError(f"waited {timeout_s:.0f} s in vain for {what}{self.reported_errors}")

    @property
    def reported_errors(self) -> str:
        """Return the node's present errors on /diagnostics or, without these, the last ones of its log.

        They are the end of a sentence; empty when there are none.
        """
        if self._errors or self._log is None:
            return "".join(f"; {name} reports: {text}" for name, text in self._errors.items())
        lines = last_errors(self._log)
        return f"; the last lines of its log: {' / '.join(lines)}" if lines else ""

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == f"{self.name}: model":
                self._model_values = {value.key: value.value for value in status.values}
            if status.name.startswith(f"{self.name}:"):
                if status.level == DiagnosticStatus.ERROR:
                    self._errors[status.name] = status.message
                else:
                    self._errors.pop(status.name, None)

    # --- services ---

    def wait_until_active(self, timeout_s: float) -> None:
        """Wait for the lifecycle state ACTIVE.

        Raises ReplayError after `timeout_s`, and at once when the node reports that its model cannot be loaded.
        """

        def active() -> bool:
            model = f"{self.name}: model"
            if model in self._errors:
                raise ReplayError(f"{model} reports: {self._errors[model]}")
            response = self._state.answer()
            return response is not None and _is_active(response)

        self.wait_for(f"{self.name} to be ACTIVE", active, timeout_s)

    def _call(self, client: Any, request: Any, timeout_s: float) -> Any:
        what = f"the service {client.srv_name}"
        self.wait_for(what, client.service_is_ready, timeout_s)
        response = client.call_async(request)
        self.wait_for(f"a response of {what}", response.done, timeout_s)
        return response.result()

    def parameters(self, names: Sequence[str], timeout_s: float) -> dict[str, Any]:
        """Return the values by name; all None when one of them is not declared."""
        request = GetParameters.Request(names=list(names))
        values = self._call(self._get_parameters, request, timeout_s).values
        if len(values) != len(names):  # an undeclared name makes the whole response empty
            return dict.fromkeys(names)
        return {n: parameter_value_to_python(v) for n, v in zip(names, values, strict=True)}

    def settings(self, timeout_s: float) -> dict[str, Setting]:
        """Return the parameters that change results, by name."""
        values = self.parameters(_SETTINGS, timeout_s)
        return {
            n: v for n, v in values.items() if n not in _LATER_SETTINGS or v != _LATER_SETTINGS[n]
        }

    def computation(self, timeout_s: float) -> tuple[str, str]:
        """Return the engine and the precision of the loaded model; empty where the node has not reported them in time.

        Both are empty for a model that has none, as the fake one.
        """
        self._model_values = {}  # those from before the model was loaded
        self.spin_until(lambda: "engine" in self._model_values, timeout_s)
        engine, precision = (self._model_values.get(key, "") for key in ("engine", "precision"))
        return engine, precision

    def set_vocabulary(self, classes: Sequence[TargetClass], timeout_s: float) -> None:
        """Set the classes of the node. Raises ReplayError when it refuses them."""
        targets = [
            messages.TargetClass(
                name=c.name,
                prompts=list(c.prompts),
                threshold=c.threshold,
                negatives=list(c.negatives),
            )
            for c in classes
        ]
        request = services.SetVocabulary.Request(classes=targets)
        response = self._call(self._set_vocabulary, request, timeout_s)
        if not response.success:
            raise ReplayError(f"{self.name} refuses these classes: {response.message}")

    def vocabulary(self, timeout_s: float) -> messages.Vocabulary:
        """Return the vocabulary in force. Raises ReplayError when it has no classes."""
        request = services.GetVocabulary.Request()
        vocabulary = self._call(self._get_vocabulary, request, timeout_s).vocabulary
        if not vocabulary.classes:
            raise ReplayError(f"{self.name} has no classes to detect; give them with --classes")
        return vocabulary


def _is_active(response: Any) -> bool:
    return bool(response.current_state.id == State.PRIMARY_STATE_ACTIVE)


def class_in_words(target: messages.TargetClass) -> TargetClass:
    """Return a class of a node as golden files have it: without its exemplars."""
    return TargetClass(
        target.name,
        tuple(target.prompts),
        round(float(target.threshold), DIGITS),
        negatives=tuple(target.negatives),
    )


def last_errors(log: Path, count: int = 3) -> list[str]:
    """Return the last different warnings and errors in a node's log, the newest last; none without the file."""
    try:
        with log.open(encoding="utf-8", errors="replace") as lines:
            marked = (line.strip() for line in lines if line.startswith(_MARKS))
            return list(dict.fromkeys(deque(marked, maxlen=50)))[-count:]
    except OSError:
        return []
