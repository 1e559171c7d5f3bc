# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`~/enable`: results stop and go on, while the model stays loaded."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode
from std_srvs.srv import SetBool

from zs_seg_ros.ros.diagnostics import OK, Problem
from zs_seg_ros.ros.qos import SERVICE
from zs_seg_ros.ros.rclpy_private import lifecycle_state


class EnableService:
    """The service `~/enable` (std_srvs/SetBool).

    enabled: whether results are published while the node is active. It outlives every transition of the lifecycle, and
    is true at the start. set_enabled: applies it; called also when nothing changes.
    """

    def __init__(self, node: LifecycleNode, set_enabled: Callable[[bool], None]) -> None:
        self.enabled = True
        self._node = node
        self._set_enabled = set_enabled
        group = MutuallyExclusiveCallbackGroup()
        node.create_service(
            SetBool, "~/enable", self._on_request, qos_profile=SERVICE, callback_group=group
        )

    def _on_request(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        state = lifecycle_state(self._node).label
        if state == "finalized":
            response.message = "the node is shut down: start another one"
            return response
        already = " already" if request.data == self.enabled else ""
        self.enabled = request.data
        self._set_enabled(request.data)
        results = (
            f"results are{already} switched on" if request.data else f"results are{already} off"
        )
        response.message = f"{results}{_consequence(state, request.data)}"
        response.success = True
        self._node.get_logger().info(response.message)
        return response

    def problems(self) -> list[Problem]:
        """Return the entry of diagnostics; none while results are on."""
        if self.enabled:
            return []
        call = f'ros2 service call {self._node.get_fully_qualified_name()}/enable std_srvs/srv/SetBool "{{data: true}}"'
        return [Problem(OK, f"results are switched off by ~/enable; switch them on with {call}")]


def _consequence(state: str, enabled: bool) -> str:
    """Return the end of the sentence: what it means in this state of the lifecycle."""
    if state == "active":
        return "" if enabled else "; the model stays loaded"
    then = "come" if enabled else "stay off"
    return f"; the node is {state}, and they {then} once it is active"
