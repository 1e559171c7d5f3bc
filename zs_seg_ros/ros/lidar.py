# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The LiDAR of one camera: point clouds in, the same clouds with the labels of the camera's images out."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any, NamedTuple

from rclpy.lifecycle import LifecycleNode, LifecycleState
from sensor_msgs.msg import CameraInfo, PointCloud2, PointField

from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.camera_info import intrinsics_from_info
from zs_seg_ros.images.camera_topics import info_topic
from zs_seg_ros.images.message_images import stamp_ns
from zs_seg_ros.images.point_clouds import points_from_message, with_labels
from zs_seg_ros.perception.lidar import label_points
from zs_seg_ros.perception.lidar_pairing import LidarPairing, Pairs, StampedCloud
from zs_seg_ros.perception.transform_buffer import Lookup, between
from zs_seg_ros.requested_outputs import RequestedOutputs
from zs_seg_ros.ros.camera_receiver import CameraReceiver
from zs_seg_ros.ros.conversions import fill
from zs_seg_ros.ros.diagnostics import WARN, LastProblem, Problem
from zs_seg_ros.ros.matching_subscription import MatchingSubscription
from zs_seg_ros.ros.parameters.node_parameters import CameraParameters
from zs_seg_ros.ros.qos import NO_PUBLISHER_EVENTS, VISUALISATION
from zs_seg_ros.ros.transforms import Transforms
from zs_seg_ros.types import Intrinsics, Scene, size_of

LONGEST_WAIT_NS = 500_000_000
"""How long a cloud waits for the poses of its stamps: odometry is often published after the image that needs it."""


class _Waiting(NamedTuple):
    """A cloud and its image. until_ns: on the monotonic clock, when the cloud waits no longer for poses."""

    cloud: StampedCloud
    scene: Scene
    until_ns: int


class LidarLabels:
    """Labels the clouds of one LiDAR by the segmented images of one camera. Thread-safe.

    Each cloud is published once, with its own header and bytes, and with three fields more: label, track_id and
    confidence. The motion between the stamps of cloud and image is taken from /tf, by way of the fixed frame; a cloud
    waits for poses that are late, and those after it wait with it.
    """

    def __init__(
        self, node: LifecycleNode, camera: CameraParameters, transforms: Transforms
    ) -> None:
        self.fixed_frame = ""
        self._node = node
        self._transforms = transforms
        self._receiver = CameraReceiver(node)
        self._info = MatchingSubscription(
            node,
            camera.info_topic or info_topic(camera.name),
            CameraInfo,
            camera,
            "info_topic",
            self._receiver,
            self._on_info,
            latched=True,
        )
        self._clouds = MatchingSubscription(
            node, camera.lidar, PointCloud2, camera, "lidar", self._receiver, self._on_cloud
        )
        self._publisher: Any = node.create_lifecycle_publisher(
            PointCloud2,
            f"~/{camera.name}/lidar_points",
            VISUALISATION,
            event_callbacks=NO_PUBLISHER_EVENTS,
        )
        self._lock = threading.Lock()
        self._bad = LastProblem()
        self._pairing = LidarPairing()
        self._labelling = threading.Lock()  # never taken while _lock is held
        self._waiting: deque[_Waiting] = deque()
        self._intrinsics: Intrinsics | None = None
        self._active = False
        self._unpaired_before = 0

    def enable(self, state: LifecycleState) -> None:
        """Activate the publisher; needed for a camera that is added while the node is active."""
        self._publisher.on_activate(state)

    def activate(self) -> None:
        """Receive clouds while the labelled ones have subscribers."""
        self._active = True

    def deactivate(self) -> None:
        """Stop receiving."""
        self._active = False
        self._clouds.unsubscribe()
        self._info.unsubscribe()

    def destroy(self) -> None:
        """Stop receiving, and destroy the publisher."""
        self.deactivate()
        self._receiver.destroy()
        with self._lock:
            publisher, self._publisher = self._publisher, None
        if publisher is not None:
            self._node.destroy_lifecycle_publisher(publisher)

    def follow_subscribers(self) -> None:
        """Subscribe to the LiDAR while the labelled clouds have subscribers. Called ten times a second.

        Clouds that wait for poses are published as soon as these are known.
        """
        needed = self._active and self._has_subscribers()
        self._info.follow(needed)
        if self._clouds.follow(needed):
            with self._lock:
                self._pairing, self._bad, self._unpaired_before = LidarPairing(), LastProblem(), 0
            with self._labelling:
                self._waiting.clear()
        with self._labelling:
            self._label([])

    def match_publishers(self) -> None:
        """Follow what publishers offer. Called once a second."""
        self._clouds.match_publishers()
        self._info.match_publishers()

    def _has_subscribers(self) -> bool:
        publisher = self._publisher
        return publisher is not None and publisher.get_subscription_count() > 0

    def requested(self) -> RequestedOutputs | None:
        """Return the stages that labelled clouds need; None without a subscriber to them."""
        return RequestedOutputs(objects=True) if self._has_subscribers() else None

    def _on_info(self, message: CameraInfo) -> None:
        try:
            self._intrinsics = intrinsics_from_info(message)
        except ImageError as error:
            self._intrinsics = None
            self._bad.note(str(error))

    def _on_cloud(self, message: PointCloud2) -> None:
        cloud = StampedCloud(stamp_ns(message.header.stamp), message)
        with self._labelling:
            with self._lock:
                pairs = self._pairing.add_cloud(cloud)
            self._label(pairs)

    def on_scene(self, scene: Scene) -> None:
        """Publish the clouds that this scene or one before it is nearest to. Called by the worker."""
        if not self._has_subscribers():
            return
        with self._labelling:
            with self._lock:
                pairs = self._pairing.add_scene(scene)
            self._label(pairs)

    def _label(self, pairs: Pairs) -> None:
        """Publish these clouds after those that wait, up to one whose poses are late. Called with `_labelling` held."""
        until_ns = time.monotonic_ns() + LONGEST_WAIT_NS
        self._waiting.extend(_Waiting(cloud, nearest, until_ns) for cloud, nearest in pairs)
        while self._waiting:
            cloud, scene, until_ns = self._waiting[0]
            lookup = self._lidar_in_camera(cloud, scene, time.monotonic_ns() < until_ns)
            if lookup is None:
                return
            self._waiting.popleft()
            try:
                self._publish(self._labelled(cloud, scene, lookup))
            except ImageError as error:
                self._bad.note(str(error))

    def _publish(self, message: PointCloud2) -> None:
        with self._lock:
            if self._publisher is not None:
                self._publisher.publish(message)

    def _labelled(self, cloud: StampedCloud, scene: Scene, lidar_in_camera: Lookup) -> PointCloud2:
        """Return the cloud with labels. Raises ImageError when it cannot be read, or its place is not known."""
        intrinsics = self._intrinsics
        if intrinsics is None:
            raise ImageError(
                f"clouds are not labelled, because no camera_info has been received on {self._info.topic}"
            )
        if (intrinsics.height, intrinsics.width) != size_of(scene.frame.image):
            raise ImageError(
                f"camera_info is for {intrinsics.width}x{intrinsics.height}, the image is "
                f"{scene.frame.image.shape[1]}x{scene.frame.image.shape[0]}: publish the camera_info of the image"
            )
        message = cloud.message
        points = points_from_message(message)
        pose = lidar_in_camera.pose
        if pose is None:
            raise ImageError(
                f"clouds are not labelled, because their place is not known: {lidar_in_camera.reason}"
            )
        labels = label_points(points, pose, intrinsics, scene.segmentation, scene.objects)
        data = with_labels(message, labels.label, labels.confidence, labels.track_id)
        added = {field.name for field in data.added}
        labelled = PointCloud2(
            header=message.header,
            height=message.height,
            width=message.width,
            is_bigendian=message.is_bigendian,
            is_dense=message.is_dense,
            point_step=data.point_step,
            row_step=data.point_step * message.width,
            fields=[
                *(field for field in message.fields if field.name not in added),
                *(
                    PointField(name=f.name, offset=f.offset, datatype=f.datatype, count=1)
                    for f in data.added
                ),
            ],
        )
        fill(labelled, data.data)
        return labelled

    def _lidar_in_camera(self, cloud: StampedCloud, scene: Scene, may_wait: bool) -> Lookup | None:
        """Return the pose of the LiDAR, when it measured, in the camera, when it took the image.

        None: it `may_wait`, and poses of shortly before are known.
        """
        frame, lidar_frame = scene.frame, cloud.message.header.frame_id
        places = ((lidar_frame, cloud.stamp_ns), (frame.frame_id, frame.stamp_ns))
        lidar, camera = (self._transforms.lookup(self.fixed_frame, *place) for place in places)
        if lidar.pose is not None and camera.pose is not None:
            return Lookup(between(lidar.pose, camera.pose))
        if may_wait and all(
            self._transforms.lookup(self.fixed_frame, name, at_ns, LONGEST_WAIT_NS).pose is not None
            for name, at_ns in places
        ):
            return None
        # Without a fixed frame the robot is taken to stand still between the two stamps.
        still = self._transforms.lookup(frame.frame_id, lidar_frame, cloud.stamp_ns)
        if still.pose is not None:
            self._bad.note(
                "the motion between clouds and images is not known, so labels lag while the robot moves: "
                f"{lidar.reason or camera.reason}"
            )
        return still

    def problems(self) -> list[Problem]:
        """List what is wrong with the clouds. Called once a second."""
        if not self._clouds.exists:
            return []
        problems = [self._clouds.problem(), self._info.problem(self._intrinsics is None)]
        with self._lock:
            unpaired = self._pairing.unpaired - self._unpaired_before
            self._unpaired_before = self._pairing.unpaired
        if unpaired:
            self._bad.note(
                f"{unpaired} clouds in the last second had no image within 100 ms of their stamps: check that both "
                "come from one clock, and that the model is fast enough"
            )
        if self._bad.recent:
            problems.append(Problem(WARN, self._bad.recent))
        return [problem for problem in problems if problem is not None]
