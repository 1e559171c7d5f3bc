# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Requests that rclpy's own services of a node would drop with an exception are refused with an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node

from zs_seg_ros.ros.rclpy_private import lifecycle_state, valid_transitions
from zs_seg_ros.shown import described, quoted

Answer = Callable[[Any, Any], Any]
"""The callback of a service: takes a request and an empty response, and returns the response."""


def answer_every_request(node: Node) -> None:
    """Let every service that a node has so far answer each request; call it before the node creates its own ones.

    A transition that does not exist in the state of the node, and a request that makes rclpy raise an exception, are
    refused in the response, and one sentence is logged.
    """
    for service in node.services:
        answer = _answering(node, service.srv_type.__name__, service.callback)
        if service.srv_type is ChangeState and isinstance(node, LifecycleNode):
            answer = _checking_transition(node, answer)
        service.callback = answer


def _answering(node: Node, name: str, callback: Answer) -> Answer:
    def answer(request: Any, response: Any) -> Any:
        empty = type(response)
        try:
            return callback(request, response)
        except Exception as error:
            reason = f"{name} is refused: {described(error)}"
            node.get_logger().error(reason)
            return _refusal(request, empty(), reason)

    return answer


def _refusal(request: Any, response: Any, reason: str) -> Any:
    """Return the response with the reason, where its type has a place for it."""
    refused = SetParametersResult(successful=False, reason=reason)
    if isinstance(response, SetParameters.Response):
        response.results = [refused] * len(request.parameters)
    elif isinstance(response, SetParametersAtomically.Response):
        response.result = refused
    return response


def _checking_transition(node: LifecycleNode, callback: Answer) -> Answer:
    def answer(request: ChangeState.Request, response: ChangeState.Response) -> Any:
        number, label = request.transition.id, request.transition.label
        valid = valid_transitions(node)
        if label in valid.values() if label else number in valid:
            return callback(request, response)
        asked = quoted(label) if label else str(number)
        node.get_logger().warning(
            f"change_state is refused: there is no transition {asked} in the state {lifecycle_state(node).label}; "
            f"there are {', '.join(f'{name} ({key})' for key, name in valid.items()) or 'none'}"
        )
        response.success = False
        return response

    return answer
