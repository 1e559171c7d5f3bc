"""A client of a running segmentation_node: its state, parameters, vocabulary and complaints."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.signals import SignalHandlerOptions

import zs_seg_ros.msg as messages
import zs_seg_ros.srv as services
from zs_seg_ros.errors import ReplayError
from zs_seg_ros.replay.results import Setting
from zs_seg_ros.vocabulary.vocabulary import TargetClass

_SPIN_S = 0.05
SETTINGS = ("model", "default_threshold", "min_area", "max_objects", "track", "precision")
"""The parameters that change results, the cameras' own aside."""


class NodeUnderTest:
    """Owns a ROS node of its own; messages come in while something is waited for. Use it with `with`."""

    def __init__(self, name: str, check: Callable[[], None] = lambda: None) -> None:
        """name: fully qualified. check: called again and again while waiting; raises when waiting is in vain."""
        self.name = name
        self._check = check
        self._complaints: dict[str, str] = {}
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)  # ctrl-C is ours
        self.node = Node("replay_test")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._get_state = self._client(GetState, "get_state")
        self._get_parameters = self._client(GetParameters, "get_parameters")
        self._set_vocabulary = self._client(services.SetVocabulary, "set_vocabulary")
        self._get_vocabulary = self._client(services.GetVocabulary, "get_vocabulary")
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def __enter__(self) -> NodeUnderTest:
        return self

    def __exit__(self, *exception: object) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()

    def _client(self, service_type: Any, name: str) -> Any:
        return self.node.create_client(service_type, f"{self.name}/{name}")

    def spin_once(self, timeout_s: float = _SPIN_S) -> None:
        """Take in what has come. Raises what `check` raises."""
        self._executor.spin_once(timeout_sec=timeout_s)
        self._check()

    def comes_true(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Take in messages until done() is true; False when it did not become so in time."""
        deadline = time.monotonic() + timeout_s
        while not done():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            self.spin_once(min(_SPIN_S, left_s))
        return True

    def wait_for(self, what: str, done: Callable[[], bool], timeout_s: float) -> None:
        """Raises ReplayError after `timeout_s` in vain, with what the node complains of."""
        if not self.comes_true(done, timeout_s):
            raise ReplayError(f"waited {timeout_s:.0f} s in vain for {what}{self.complaints}")

    @property
    def complaints(self) -> str:
        """What the node reports as wrong on /diagnostics, to be put behind a sentence; empty when nothing."""
        return "".join(f"; {name} reports: {text}" for name, text in self._complaints.items())

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(f"{self.name}:"):
                if status.level == DiagnosticStatus.ERROR:
                    self._complaints[status.name] = status.message
                else:
                    self._complaints.pop(status.name, None)

    # --- services ---

    def wait_until_active(self, timeout_s: float) -> None:
        """Raises ReplayError after `timeout_s`, and at once when the node reports that it cannot become ACTIVE."""
        answer: Any = None

        def active() -> bool:
            nonlocal answer
            model = f"{self.name}: model"
            if model in self._complaints:
                raise ReplayError(f"{model} reports: {self._complaints[model]}")
            if answer is None and self._get_state.service_is_ready():
                answer = self._get_state.call_async(GetState.Request())
            if answer is None or not answer.done():
                return False
            state = answer.result().current_state.id
            answer = None
            return bool(state == State.PRIMARY_STATE_ACTIVE)

        self.wait_for(f"{self.name} to be ACTIVE", active, timeout_s)

    def _call(self, client: Any, request: Any, timeout_s: float) -> Any:
        what = f"the service {client.srv_name}"
        self.wait_for(what, client.service_is_ready, timeout_s)
        answer = client.call_async(request)
        self.wait_for(f"an answer of {what}", answer.done, timeout_s)
        return answer.result()

    def parameters(self, names: Sequence[str], timeout_s: float) -> dict[str, Any]:
        """name -> value; None for one that the node does not have."""
        request = GetParameters.Request(names=list(names))
        values = self._call(self._get_parameters, request, timeout_s).values
        # It answers with nothing at all when it does not have one of them.
        if len(values) != len(names):
            return dict.fromkeys(names)
        return {n: parameter_value_to_python(v) for n, v in zip(names, values, strict=True)}

    def settings(self, timeout_s: float) -> dict[str, Setting]:
        """The parameters that change results."""
        return dict(self.parameters(SETTINGS, timeout_s))

    def set_vocabulary(self, classes: Sequence[TargetClass], timeout_s: float) -> None:
        """Raises ReplayError when it is refused."""
        targets = [
            messages.TargetClass(name=c.name, prompts=list(c.prompts), threshold=c.threshold)
            for c in classes
        ]
        request = services.SetVocabulary.Request(classes=targets)
        response = self._call(self._set_vocabulary, request, timeout_s)
        if not response.success:
            raise ReplayError(f"{self.name} refuses these classes: {response.message}")

    def vocabulary(self, timeout_s: float) -> messages.Vocabulary:
        """What is in force. Raises ReplayError when that is nothing."""
        request = services.GetVocabulary.Request()
        vocabulary = self._call(self._get_vocabulary, request, timeout_s).vocabulary
        if not vocabulary.classes:
            raise ReplayError(f"{self.name} looks for nothing: name what with --classes")
        return vocabulary
