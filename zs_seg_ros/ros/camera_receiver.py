# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Receives the messages of one camera in a thread of its own.

rclpy's executor collects all services, timers and subscriptions of the node twice for each message and hands it to
another thread. A thread that waits for one camera's subscriptions alone takes half of the time (docs/decisions/0008).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node

from zs_seg_ros.ros.rclpy_private import SubscriptionWait, take
from zs_seg_ros.shown import described, traced

_LONGEST_WAIT_S = 0.5
_AFTER_ERROR_S = 0.1

OnMessage = Callable[[Any], None]


class _NoExecutor(CallbackGroup):
    """A group whose callbacks no executor calls."""

    def can_execute(self, entity: Any) -> bool:
        return False

    def beginning_execution(self, entity: Any) -> bool:
        return False

    def ending_execution(self, entity: Any) -> None:
        pass


class CameraReceiver:
    """Calls the callbacks of one camera's subscriptions, one after the other. Thread-safe.

    Of messages that have arrived, those of an owner that was registered earlier are processed first. The thread runs
    while there is any subscription. callback_group: that of the subscriptions, so that no executor waits for them.
    """

    def __init__(self, node: Node) -> None:
        self.callback_group = _NoExecutor()
        self._node = node
        self._lock = threading.Lock()
        self._subscriptions: dict[object, tuple[Any, OnMessage] | None] = {}
        self._running = False
        self._wait = SubscriptionWait(node.context)

    def register(self, owner: object) -> None:
        """Give the owner of a subscription its place in the order."""
        self._subscriptions[owner] = None

    def receive(self, owner: object, subscription: Any, on_message: OnMessage) -> None:
        """Receive from this subscription of an owner that is registered."""
        with self._lock:
            self._subscriptions[owner] = subscription, on_message
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="camera", daemon=True).start()
        self._wait.wake()

    def stop(self, owner: object) -> None:
        """Receive nothing more for this owner; its callback may still run when this returns."""
        with self._lock:
            self._subscriptions[owner] = None
        self._wait.wake()

    def destroy(self) -> None:
        """Free what belongs to rclpy, after the subscriptions are destroyed."""
        self._wait.destroy()

    def _run(self) -> None:
        while pairs := self._pairs_or_end():
            try:
                ready = self._wait.ready(
                    [subscription for subscription, _ in pairs], _LONGEST_WAIT_S
                )
                for subscription, on_message in pairs:
                    if subscription in ready and (message := take(subscription)) is not None:
                        on_message(message)
            except InvalidHandle:
                continue  # destroyed meanwhile
            except Exception as error:  # the next message is processed, as an executor does
                self._node.get_logger().error(
                    f"a message was dropped: {described(error)}\n{traced(error)}"
                )
                threading.Event().wait(_AFTER_ERROR_S)

    def _pairs_or_end(self) -> list[tuple[Any, OnMessage]]:
        with self._lock:
            pairs = [pair for pair in self._subscriptions.values() if pair is not None]
            self._running = bool(pairs) and self._node.context.ok()
            return pairs if self._running else []
