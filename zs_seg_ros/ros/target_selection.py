# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""~/select and what follows from it: the pose, the status and the points of one object, from image to image."""

from __future__ import annotations

import importlib
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from zs_seg_ros.errors import SelectionError
from zs_seg_ros.msg import TargetStatus
from zs_seg_ros.perception.target import Choice, SceneObjects, Target, TargetState, choose
from zs_seg_ros.requested_outputs import RequestedOutputs
from zs_seg_ros.ros.conversions import header_of_positions
from zs_seg_ros.ros.qos import LATCHED, NO_PUBLISHER_EVENTS, RESULTS, SERVICE, VISUALISATION
from zs_seg_ros.ros.recent_results import RecentResults
from zs_seg_ros.ros.scene_messages import object_message
from zs_seg_ros.ros.target_messages import (
    geometry_of,
    object_cloud_message,
    pose_message,
    status_message,
    transform_message,
)
from zs_seg_ros.shown import quoted, shown
from zs_seg_ros.srv import SelectObject
from zs_seg_ros.types import Box, Scene

_FRAME_ID_LIMIT = 200


class TargetSelection:
    """Follows the selected object and publishes its pose, status, points and TF frame. Thread-safe.

    The scenes of a camera with a selected object have objects and surfaces, whether or not there are subscribers to
    them. recent: the results that requests refer to; its lock guards the selection, too.
    """

    def __init__(self, node: LifecycleNode, recent: RecentResults) -> None:
        self._node = node
        self._recent = recent
        self._target: Target | None = None
        self._frame_id = ""
        self._scenes = recent.changed
        self._pose = self._publisher(PoseStamped, "~/target", RESULTS)
        self._status = self._publisher(TargetStatus, "~/target_status", LATCHED)
        self._cloud = self._publisher(PointCloud2, "~/object_cloud", VISUALISATION)
        self._transforms: Any = None
        node.create_service(
            SelectObject,
            "~/select",
            self._on_select,
            qos_profile=SERVICE,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

    def _publisher(self, message_type: Any, topic: str, qos: Any) -> Any:
        return self._node.create_lifecycle_publisher(
            message_type, topic, qos, event_callbacks=NO_PUBLISHER_EVENTS
        )

    def reset(self) -> None:
        """End the selection."""
        with self._scenes:
            self._target = None

    def requested(self, camera: str) -> RequestedOutputs | None:
        """Return the stages that the selection needs of a camera; None without a selected object in its images."""
        with self._scenes:
            target = self._target
            needed = (
                target is not None
                and target.camera == camera
                and target.state is not TargetState.LOST
            )
        return RequestedOutputs(objects=True, surfaces=True) if needed else None

    def on_scene(self, scene: Scene) -> None:
        """Follow the target to the next scene of its camera, and publish it. Called by the worker."""
        if not scene.frame.requested.objects:
            return
        camera = scene.frame.camera
        with self._scenes:
            before = self._target
            if before is None or before.camera != camera or before.state is TargetState.LOST:
                return
            self._target = target = before.in_scene(scene)
            self._publish(target, scene)
        if target.state is TargetState.LOST:
            self._node.get_logger().warning(target.problem)

    def problem(self) -> str:
        """Return why the selected object is lost; empty otherwise."""
        with self._scenes:
            return self._target.problem if self._target is not None else ""

    def _publish(self, target: Target, scene: Scene) -> None:
        """Publish what is known of the target. Called with the lock, so that `_clear` has the last word."""
        visible = target.state is TargetState.VISIBLE
        geometry = geometry_of(target.detected, scene) if visible else None
        header = header_of_positions(scene)
        self._status.publish(status_message(target, header, geometry))
        if geometry is None:
            return
        self._pose.publish(pose_message(geometry, header))
        if self._cloud.get_subscription_count():
            self._cloud.publish(object_cloud_message(geometry, header))
        if self._frame_id and self._transforms is not None:
            self._transforms.publish(transform_message(geometry, header, self._frame_id))

    # --- ~/select ---

    def _on_select(
        self, request: SelectObject.Request, response: SelectObject.Response
    ) -> SelectObject.Response:
        try:
            if request.clear:
                self._clear()
            else:
                target = self._select(request)
                response.object = object_message(target.detected, target.class_name)
            response.success = True
        except SelectionError as error:
            response.message = str(error)
        outcome = f"refused: {response.message}" if response.message else "accepted"
        self._node.get_logger().info(f"select {outcome}")
        return response

    def _clear(self) -> None:
        header = Header(stamp=self._node.get_clock().now().to_msg())
        with self._scenes:
            self._target = None
            self._status.publish(TargetStatus(header=header, state=TargetStatus.NONE))

    def _select(self, request: SelectObject.Request) -> Target:
        camera = self._recent.camera_of(request.camera)
        self._prepare_frame(request.frame_id)
        stamp = request.stamp
        choice = Choice(
            track_id=request.track_id,
            class_name=request.class_name,
            region=region_of(request.roi),
            stamp_ns=stamp.sec * 10**9 + stamp.nanosec,
        )

        def target_in(scene: SceneObjects) -> Target:
            detected = choose(scene, choice)
            name, version = scene.name_of(detected), scene.vocabulary.version
            return Target(camera, detected, name, version, scene.stamp_ns, scene.stamp_ns)

        with self._scenes:
            target = self._recent.first_that_fits(camera, choice.stamp_ns, target_in)
            self._target, self._frame_id = target, request.frame_id
        return target

    def _prepare_frame(self, frame_id: str) -> None:
        """Create the publisher of /tf for a request that names a frame."""
        if not frame_id:
            return
        if len(frame_id) > _FRAME_ID_LIMIT or not frame_id.isprintable() or " " in frame_id:
            raise SelectionError(
                f"frame_id is {quoted(frame_id)}, which is no name of a frame: use letters, digits, _ and /"
            )
        if self._transforms is None:
            try:
                tf2_msgs = importlib.import_module("tf2_msgs.msg")
            except ImportError as error:
                raise SelectionError(
                    "frame_id needs the package tf2_msgs, which is not installed: install ros-$ROS_DISTRO-tf2-msgs, or "
                    f"leave frame_id empty ({shown(error)})"
                ) from error
            self._transforms = self._node.create_publisher(tf2_msgs.TFMessage, "/tf", 100)


def region_of(roi: Any) -> Box | None:
    """Return the box of a RegionOfInterest; None for one without a width."""
    return Box(roi.x_offset, roi.y_offset, roi.width, max(1, roi.height)) if roi.width else None
