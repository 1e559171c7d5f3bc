# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Requests whose answer is lost: because the server did not know the client yet, or has ended since."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import rclpy
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from planner import TIMEOUT_S, wait_until
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from zs_seg_ros.ros.repeated_request import RepeatedRequest


@contextmanager
def spinning(node: Node) -> Iterator[Node]:
    """Receive messages of a node in a thread of its own."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    end = threading.Event()

    def spin() -> None:
        while not end.is_set():
            executor.spin_once(timeout_sec=0.05)

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        yield node
    finally:
        end.set()
        thread.join()
        executor.shutdown()
        node.destroy_node()


class Server(Node):
    """Has a service that says that it is active, and whose first answers are lost."""

    def __init__(self, name: str, lost: int, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(name)
        self.asked, self.sent = 0, 0
        service = self.create_service(GetState, "~/get_state", self._answer)
        send = service.send_response

        def send_or_lose(response: Any, header: Any) -> None:
            if self.asked > lost:
                self.sent += 1
                send(response, header)

        monkeypatch.setattr(service, "send_response", send_or_lose)

    def _answer(self, _: Any, response: Any) -> Any:
        self.asked += 1
        response.current_state = State(id=State.PRIMARY_STATE_ACTIVE, label="active")
        return response


def test_a_request_whose_first_answers_are_lost_is_sent_again_until_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with (
        spinning(Server("forgetful", 2, monkeypatch)) as server,
        spinning(rclpy.create_node("asking")) as node,
    ):
        request = RepeatedRequest(
            node.create_client(GetState, "/forgetful/get_state"), GetState.Request()
        )
        response = request.wait(TIMEOUT_S)
        assert response.current_state.label == "active"
        assert (server.asked, server.sent) == (3, 1)
        assert request.wait(TIMEOUT_S) is not None, "it can ask once more"
        assert server.asked == 4


def test_a_request_to_a_server_that_has_ended_is_answered_by_the_one_that_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with spinning(rclpy.create_node("asking")) as node:
        request = RepeatedRequest(
            node.create_client(GetState, "/follows/get_state"), GetState.Request()
        )
        with spinning(Server("follows", 1000, monkeypatch)) as first:
            assert request.answer() is None
            wait_until(lambda: request.answer() is None and first.asked, "the first request")
        with spinning(Server("follows", 0, monkeypatch)):
            assert request.wait(TIMEOUT_S).current_state.label == "active"


def test_without_a_server_the_wait_ends_with_none() -> None:
    with spinning(rclpy.create_node("asking")) as node:
        client = node.create_client(GetState, "/nobody/get_state")
        assert RepeatedRequest(client, GetState.Request()).wait(0.1) is None
