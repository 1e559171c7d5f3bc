# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Publishes /diagnostics once a second: one entry for the model, one for each camera of an active node."""

from __future__ import annotations

from collections.abc import Iterable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header

from zs_seg_ros.perception.intake import Intake
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.ros.camera import Camera
from zs_seg_ros.ros.diagnostics import OK, Problem, camera_status, model_status
from zs_seg_ros.ros.qos import NO_PUBLISHER_EVENTS
from zs_seg_ros.ros.rclpy_private import lifecycle_state


class DiagnosticsPublisher:
    """Assembles the entries of one node."""

    def __init__(self, node: LifecycleNode, model: LiveModel) -> None:
        self._node = node
        self._model = model
        self._publisher = node.create_publisher(
            DiagnosticArray, "/diagnostics", 10, event_callbacks=NO_PUBLISHER_EVENTS
        )

    def publish(
        self, problems: list[Problem], cameras: Iterable[Camera], intake: Intake | None
    ) -> None:
        """Publish once. problems: the node's and the model's. intake: None while the node is not active."""
        array = DiagnosticArray(header=Header(stamp=self._node.get_clock().now().to_msg()))
        array.status.append(self._model_status(problems))
        if intake is not None:
            array.status += [self._camera_status(camera, intake) for camera in cameras]
        self._publisher.publish(array)

    def _model_status(self, problems: list[Problem]) -> DiagnosticStatus:
        return model_status(
            self._node.get_fully_qualified_name(),
            lifecycle_state(self._node).label,
            self._node.get_parameter("model").value,
            self._model,
            problems,
        )

    def _camera_status(self, camera: Camera, intake: Intake) -> DiagnosticStatus:
        """Return the entry of one camera; its problems go into the log, too, when they begin and now and then."""
        status = camera_status(
            f"{self._node.get_fully_qualified_name()}: {camera.name}",
            camera.input.topic,
            camera.health,
            intake.skipped(camera.name),
            intake.paced(camera.name),
            camera.problems(),
        )
        if status.level != OK and camera.health.log_is_due():
            self._node.get_logger().warning(f"{camera.name}: {status.message}")
        return status
