# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The selected object as messages: pose, status, points and transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import (
    Point,
    Pose,
    PoseStamped,
    Transform,
    TransformStamped,
    Vector3,
)
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from zs_seg_ros.errors import ImageError
from zs_seg_ros.msg import TargetStatus
from zs_seg_ros.perception.depth import depth_in_metres, depth_of_image_size
from zs_seg_ros.perception.oriented_box import OrientedBox, oriented_box
from zs_seg_ros.perception.projection import moved, points_of
from zs_seg_ros.perception.target import Target, TargetState
from zs_seg_ros.ros.conversions import quaternion_of, time_message
from zs_seg_ros.ros.scene_messages import cloud_message
from zs_seg_ros.types import DetectedObject, Scene, size_of

_STATES = {
    TargetState.VISIBLE: TargetStatus.VISIBLE,
    TargetState.HIDDEN: TargetStatus.HIDDEN,
    TargetState.LOST: TargetStatus.LOST,
}
_POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4")])


@dataclass(frozen=True, eq=False)
class TargetGeometry:
    """The visible surface of the selected object: its points, (N, 3) float32 in metres, and the box around them."""

    points: NDArray[np.float32]
    box: OrientedBox


def geometry_of(detected: DetectedObject, scene: Scene) -> TargetGeometry | None:
    """Return the surface of an object in the frame of the scene's positions; None without enough depth."""
    depth = scene.frame.depth
    if depth is None or detected.surface is None:
        return None
    depth_m = depth_of_image_size(
        depth_in_metres(depth.values, depth.unit_m), size_of(scene.frame.image)
    )
    try:
        points = points_of(detected, depth_m, depth.intrinsics)
    except ImageError:  # reported where the scene was made
        return None
    box = oriented_box(points)
    if box is None:
        return None
    pose = scene.camera_pose
    if pose is None:
        return TargetGeometry(points, box)
    return TargetGeometry(np.ascontiguousarray(moved(points.T, pose).T), box.moved(pose))


def status_message(target: Target, header: Header, geometry: TargetGeometry | None) -> TargetStatus:
    """Make the status. geometry: None where the object is not visible or has no depth."""
    message = TargetStatus(
        header=header,
        state=_STATES[target.state],
        message=target.problem,
        camera=target.camera,
        class_name=target.class_name,
        track_id=target.detected.track_id,
        score=target.detected.score,
        last_detected=time_message(target.seen_ns),
        has_box=geometry is not None,
    )
    if geometry is not None:
        message.box_pose = _pose(geometry.box)
        x, y, z = geometry.box.size_m.tolist()
        message.box_size = Vector3(x=x, y=y, z=z)
    return message


def pose_message(geometry: TargetGeometry, header: Header) -> PoseStamped:
    """Make the pose: the centre of the oriented box, with its axes."""
    return PoseStamped(header=header, pose=_pose(geometry.box))


def object_cloud_message(geometry: TargetGeometry, header: Header) -> PointCloud2:
    """Make the unorganised cloud of the points, (1, N)."""
    points = np.ascontiguousarray(geometry.points, "<f4").view(_POINT).reshape(1, -1)
    return cloud_message(points, header, is_dense=True)


def transform_message(geometry: TargetGeometry, header: Header, frame_id: str) -> Any:
    """Make a TFMessage with the frame of the object, a child of the header's frame."""
    from tf2_msgs.msg import TFMessage

    x, y, z = geometry.box.centre_m.tolist()
    transform = Transform(
        translation=Vector3(x=x, y=y, z=z), rotation=quaternion_of(geometry.box.rotation)
    )
    return TFMessage(
        transforms=[TransformStamped(header=header, child_frame_id=frame_id, transform=transform)]
    )


def _pose(box: OrientedBox) -> Pose:
    x, y, z = box.centre_m.tolist()
    return Pose(position=Point(x=x, y=y, z=z), orientation=quaternion_of(box.rotation))
