# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A mapper that reads labelled LiDAR clouds by their fields alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray
from planner import BEST_EFFORT, Planner, image_message, running_node, stamp, stripes
from point_clouds import cloud
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from test_depth import structured
from tf2_msgs.msg import TFMessage

from zs_seg_ros.ros import lidar

HEIGHT, WIDTH, FOCAL_PX = 120, 160, 100.0
IMAGE = stripes("red", "white", "blue", "white", height=HEIGHT, width=40)
WALL_M = 4.0
LIDAR_UP_M = 0.5
STATIC = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
PARAMETERS = {"camera.lidar": "/velodyne/points", "classes": ["red", "blue"], "min_area": 4}


def transform(parent: str, child: str, stamp_ns: int, x: float, z: float) -> TransformStamped:
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    message.transform.translation.x, message.transform.translation.z = x, z
    message.transform.rotation.w = 1.0
    return message


def optical(parent: str) -> TransformStamped:
    """A camera that looks along the x axis of its parent."""
    message = transform(parent, "optical", 0, 0.0, 0.0)
    turn = message.transform.rotation
    turn.x, turn.y, turn.z, turn.w = -0.5, 0.5, -0.5, 0.5
    return message


class Robot:
    """A robot with a camera and a LiDAR half a metre above it, in front of a wall with stripes."""

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self.stamp_ns = time.time_ns()
        self.y_m = 0.0
        static = planner.node.create_publisher(TFMessage, "/tf_static", STATIC)
        static.publish(
            TFMessage(
                transforms=[optical("base"), transform("base", "velodyne", 0, 0.0, LIDAR_UP_M)]
            )
        )
        self._static = static
        self._tf = planner.node.create_publisher(TFMessage, "/tf", 100)
        self.labelled = planner.listen("/zs_seg/camera/lidar_points", PointCloud2, BEST_EFFORT)
        k = [FOCAL_PX, 0.0, WIDTH / 2, 0.0, FOCAL_PX, HEIGHT / 2, 0.0, 0.0, 1.0]
        self._info = CameraInfo(height=HEIGHT, width=WIDTH, k=k)

    def publish_pose(self, stamp_ns: int) -> None:
        message = transform("odom", "base", stamp_ns, 0.0, 0.0)
        message.transform.translation.y = self.y_m
        self._tf.publish(TFMessage(transforms=[message]))

    def publish_cloud(self, stamp_ns: int, places: NDArray[Any], **layout: Any) -> PointCloud2:
        message = cloud(places, **layout)
        message.header.frame_id = "velodyne"
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
        self.planner.publish("/velodyne/points", message)
        return message

    def show(self, stamp_ns: int) -> Image:
        message = image_message(IMAGE)
        stamp(message, stamp_ns)
        self.planner.publish("/camera/camera_info", self._info)
        self.planner.send(message)
        return message

    def cloud_before_image(self) -> tuple[PointCloud2, int]:
        """Publish a cloud with its pose, 40 ms before an image; return it, and the image's stamp."""
        self.label_of(on_wall([20]))
        cloud_ns = self.stamp_ns + 50_000_000
        self.publish_pose(cloud_ns)
        return self.publish_cloud(cloud_ns, on_wall([20, 100])), cloud_ns + 40_000_000

    def label_of(self, places: NDArray[Any], **layout: Any) -> PointCloud2:
        """The labelled cloud of one that was measured at the moment of an image."""
        self.stamp_ns += 100_000_000
        self.publish_pose(self.stamp_ns)
        message = self.publish_cloud(self.stamp_ns, places, **layout)
        self.show(self.stamp_ns)
        return self.planner.output_with_stamp_of(message, self.labelled)


def on_wall(columns: list[int]) -> NDArray[np.float64]:
    """Points of the wall that the camera shows at these columns, in the LiDAR's frame."""
    x = np.full(len(columns), WALL_M)
    y = -(np.array(columns) - WIDTH / 2) / FOCAL_PX * WALL_M
    return np.stack((x, y, np.full(len(columns), -LIDAR_UP_M)), axis=1)


@pytest.fixture
def robot() -> Iterator[Robot]:
    with running_node(PARAMETERS) as planner:
        robot = Robot(planner)
        before = len(robot.labelled)
        while len(robot.labelled) == before:  # until camera_info and transforms are matched
            robot.stamp_ns += 100_000_000
            robot.publish_pose(robot.stamp_ns)
            robot.publish_cloud(robot.stamp_ns, on_wall([20]))
            robot.show(robot.stamp_ns)
            time.sleep(0.05)
        yield robot


def test_the_same_cloud_comes_back_with_label_confidence_and_track_id(robot: Robot) -> None:
    columns = [10, 30, 60, 90, 110, 140, 400]
    ids = robot.planner.ids()
    expected = [ids["red"], ids["red"], 0, ids["blue"], ids["blue"], 0, 0]
    for _ in range(2):  # an object has a track id once it was detected twice
        message = robot.label_of(on_wall(columns), point_step=22)
    assert message.header.frame_id == "velodyne"
    assert [f.name for f in message.fields] == ["x", "y", "z", "track_id", "confidence", "label"]
    points = structured(message)[0]
    assert np.stack([points["x"], points["y"], points["z"]], axis=1) == pytest.approx(
        on_wall(columns), abs=1e-5
    )
    assert points["label"].tolist() == expected
    assert ((points["confidence"] > 0.5) == (points["label"] > 0)).all()
    tracks = points["track_id"]
    assert tracks[0] == tracks[1] != tracks[3] == tracks[4]
    assert ((tracks > 0) == (points["label"] > 0)).all()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clouds wait for poses for as long as a busy machine takes."""
    monkeypatch.setattr(lidar, "LONGEST_WAIT_NS", 30_000_000_000)


@pytest.mark.usefixtures("patient")
def test_the_motion_between_cloud_and_image_is_taken_from_tf(robot: Robot) -> None:
    """Half a stripe further between the two: without the motion the labels would be wrong."""
    message, image_ns = robot.cloud_before_image()
    robot.y_m += 40 / FOCAL_PX * WALL_M  # to the left: the wall moves 40 pixels to the right
    robot.publish_pose(image_ns)
    robot.show(image_ns)
    labels = structured(robot.planner.output_with_stamp_of(message, robot.labelled))[0]["label"]
    assert labels.tolist() == [0, 0], "the columns 60 and 140 of the image are white"


@pytest.mark.usefixtures("patient")
def test_a_cloud_waits_for_a_pose_that_comes_after_its_image(robot: Robot) -> None:
    """As from odometry that takes a while: the cloud of the image before is there, this one is not, then it is."""
    message, image_ns = robot.cloud_before_image()
    label = robot.planner.listen("/zs_seg/camera/label", Image, BEST_EFFORT)
    image = robot.show(image_ns)
    robot.planner.output_with_stamp_of(image, label)
    robot.y_m += 40 / FOCAL_PX * WALL_M
    robot.publish_pose(image_ns)
    labels = structured(robot.planner.output_with_stamp_of(message, robot.labelled))[0]["label"]
    assert labels.tolist() == [0, 0], "the columns 60 and 140 of the image are white"


def test_a_cloud_whose_pose_never_comes_is_labelled_as_if_the_robot_stood(robot: Robot) -> None:
    message, image_ns = robot.cloud_before_image()
    robot.show(image_ns)
    labels = structured(robot.planner.output_with_stamp_of(message, robot.labelled))[0]["label"]
    ids = robot.planner.ids()
    assert labels.tolist() == [ids["red"], ids["blue"]]
    robot.planner.diagnosis_saying("camera", "labels lag while the robot moves")


def test_big_endian_clouds_with_padding_are_labelled(robot: Robot) -> None:
    message = robot.label_of(
        on_wall([20, 60]),
        kind="f8",
        offsets=(0, 8, 16),
        point_step=24,
        big_endian=True,
        width=1,
        padding=3,
    )
    assert message.is_bigendian and (message.height, message.width) == (2, 1)
    field = next(f for f in message.fields if f.name == "label")
    rows = np.frombuffer(message.data, np.uint8).reshape(2, message.row_step)
    labels = rows[:, field.offset : field.offset + 2].copy().view(">u2")[:, 0]
    assert labels.tolist() == [robot.planner.ids()["red"], 0]


def test_what_is_missing_is_said_in_diagnostics(robot: Robot) -> None:
    robot.stamp_ns += 100_000_000
    message = robot.publish_cloud(robot.stamp_ns, on_wall([20]))
    message.header.frame_id = "somewhere"
    robot.stamp_ns += 100_000_000
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(robot.stamp_ns, 10**9)
    robot.planner.publish("/velodyne/points", message)
    robot.show(robot.stamp_ns)
    robot.planner.diagnosis_saying("camera", "their place is not known", "'somewhere'")
    message.fields = message.fields[:1]
    robot.stamp_ns += 100_000_000
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(robot.stamp_ns, 10**9)
    robot.planner.publish("/velodyne/points", message)
    robot.show(robot.stamp_ns)
    robot.planner.diagnosis_saying("camera", "a point cloud needs the fields x, y and z")


def test_without_a_subscriber_the_lidar_is_not_subscribed_to() -> None:
    with running_node(PARAMETERS) as planner:
        planner.label_of(np.asarray(IMAGE))
        publisher = planner.node.create_publisher(PointCloud2, "/velodyne/points", 1)
        time.sleep(0.3)
        assert publisher.get_subscription_count() == 0
