# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A planner that selects one object and follows it with nothing but ~/target, ~/target_status and /tf."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from planner import BEST_EFFORT, LATCHED, Planner, image_message, running_node, stamp, wait_until
from sensor_msgs.msg import PointCloud2
from test_depth import FOCAL_PX, HEIGHT, WIDTH, camera_info, depth_image, structured
from tf2_msgs.msg import TFMessage

from zs_seg_ros.msg import TargetStatus
from zs_seg_ros.perception.tracking import LONGEST_ABSENCE_S
from zs_seg_ros.segmenters.fake import PALETTE
from zs_seg_ros.srv import SelectObject

PARAMETERS = {"camera.depth": True, "classes": ["red", "blue"], "min_area": 4}
STEP_NS = 100_000_000
SIDE = 8


class Recording:
    """Images of two squares, red and blue, at columns and depths of their own, ten a second."""

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self.stamp_ns = time.time_ns()
        self.statuses = planner.listen("/zs_seg/target_status", TargetStatus, LATCHED)
        self.poses = planner.listen("/zs_seg/target", PoseStamped, 5)

    def show(self, **squares: tuple[int, float]) -> Any:
        """Show the squares, each at a column and a depth in metres. Returns the image message."""
        image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
        depth: NDArray[np.float32] = np.full((HEIGHT, WIDTH), 5.0, np.float32)
        for colour, (column, metres) in squares.items():
            region = (slice(8, 8 + SIDE), slice(column, column + SIDE))
            image[region], depth[region] = PALETTE[colour], metres
        message = image_message(image)
        self.stamp_ns += STEP_NS
        stamp(message, self.stamp_ns)
        self.planner.send_depth(depth_image(depth, message), camera_info())
        self.planner.send(message)
        return message

    def show_and_wait(self, **squares: tuple[int, float]) -> Any:
        """Show the squares; returns their objects."""
        received = self.planner.outputs("objects")
        message = self.show(**squares)
        return self.planner.output_with_stamp_of(message, received)

    def select(self, during: dict[str, tuple[int, float]], **request: Any) -> Any:
        """The answer to ~/select while the squares are shown."""
        future = self.planner.ask(SelectObject, "select", SelectObject.Request(**request))
        while not future.done():
            self.show_and_wait(**during)
        return future.result()

    def status_of(self, message: Any) -> TargetStatus:
        return self.planner.output_with_stamp_of(message, self.statuses)


@pytest.fixture
def recording() -> Iterator[Recording]:
    with running_node(PARAMETERS) as planner:
        recording = Recording(planner)
        recording.show_and_wait(red=(4, 1.0))  # the camera_info may come after the depth
        yield recording


def test_the_nearest_of_a_class_is_followed_with_its_pose_in_metres(recording: Recording) -> None:
    answer = recording.select({"red": (4, 2.0), "blue": (30, 1.0)}, class_name="red")
    assert answer.success, answer.message
    assert answer.object.class_name == "red"
    for column, metres in ((6, 1.9), (8, 1.8), (10, 1.7)):
        message = recording.show(red=(column, metres), blue=(30, 1.0))
        pose = recording.planner.output_with_stamp_of(message, recording.poses)
        assert pose.header == message.header
        middle = column + (SIDE - 1) / 2
        assert pose.pose.position.x == pytest.approx(
            (middle - WIDTH / 2) / FOCAL_PX * metres, abs=0.01
        )
        assert pose.pose.position.z == pytest.approx(metres, abs=0.01)
        status = recording.status_of(message)
        assert status.state == TargetStatus.VISIBLE and status.has_box
        assert (status.camera, status.class_name) == ("camera", "red")
        assert status.track_id == answer.object.track_id
        assert status.last_detected == message.header.stamp


def test_without_fields_the_nearest_object_is_selected(recording: Recording) -> None:
    answer = recording.select({"red": (4, 2.0), "blue": (30, 1.0)})
    assert answer.object.class_name == "blue"


def test_a_pixel_of_an_image_of_the_past_selects_the_object_that_was_there(
    recording: Recording,
) -> None:
    recording.show_and_wait(red=(4, 1.0), blue=(30, 1.0))
    then = recording.show_and_wait(red=(5, 1.0), blue=(30, 1.0))
    for column in (9, 13, 17):  # meanwhile the red square moves away from the pixel
        recording.show_and_wait(red=(column, 1.0), blue=(30, 1.0))
    request = SelectObject.Request(stamp=then.header.stamp)
    request.roi.x_offset, request.roi.y_offset, request.roi.width, request.roi.height = 6, 9, 1, 1
    answer = recording.planner.call(SelectObject, "select", request)
    assert answer.success, answer.message
    assert answer.object.class_name == "red"


def test_a_gripper_gets_the_axes_and_the_size_of_a_turned_bar(recording: Recording) -> None:
    """A bar of 24x8 pixels at 1 m, turned by 30 degrees: its box, with or without the mask's rim of two pixels."""
    angle, distance_m = np.deg2rad(30), 1.0
    column, row = np.meshgrid(np.arange(WIDTH) - WIDTH / 2, np.arange(HEIGHT) - HEIGHT / 2)
    along = column * np.cos(angle) + row * np.sin(angle)
    across = row * np.cos(angle) - column * np.sin(angle)
    image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    image[(np.abs(along) <= 12) & (np.abs(across) <= 4)] = PALETTE["red"]
    depth = np.full((HEIGHT, WIDTH), distance_m, np.float32)

    def show() -> Any:
        message = image_message(image)
        recording.stamp_ns += STEP_NS
        stamp(message, recording.stamp_ns)
        recording.planner.send_depth(depth_image(depth, message), camera_info())
        recording.planner.send(message)
        return message

    future = recording.planner.ask(SelectObject, "select", SelectObject.Request(class_name="red"))
    while not future.done():
        recording.planner.output_with_stamp_of(show(), recording.planner.outputs("objects"))
    assert future.result().success
    status = recording.status_of(show())
    turn, size = status.box_pose.orientation, status.box_size
    x_axis = (
        1 - 2 * (turn.y**2 + turn.z**2),
        2 * (turn.x * turn.y + turn.z * turn.w),
        2 * (turn.x * turn.z - turn.y * turn.w),
    )
    assert x_axis == pytest.approx((np.cos(angle), np.sin(angle), 0.0), abs=0.06)
    assert size.x == pytest.approx((24 - 2) / FOCAL_PX * distance_m, abs=0.05)
    assert size.y == pytest.approx((8 - 2) / FOCAL_PX * distance_m, abs=0.05)
    assert size.z == pytest.approx(0.0, abs=0.005)
    centre = status.box_pose.position
    assert (centre.x, centre.y, centre.z) == pytest.approx((0.0, 0.0, distance_m), abs=0.02)


def test_it_stays_selected_through_an_occlusion_of_a_second(recording: Recording) -> None:
    track_id = recording.select({"red": (4, 1.0)}, class_name="red").object.track_id
    hidden = []
    for _ in range(10):
        message = recording.show(blue=(30, 1.0))
        hidden.append(message.header.stamp)
        status = recording.status_of(message)
        assert status.state == TargetStatus.HIDDEN and not status.has_box
        assert status.last_detected != message.header.stamp
    assert not [p for p in recording.poses if p.header.stamp in hidden]
    status = recording.status_of(recording.show(red=(5, 1.0), blue=(30, 1.0)))
    assert status.state == TargetStatus.VISIBLE and status.track_id == track_id


def test_a_lost_object_is_reported_until_another_one_is_selected(recording: Recording) -> None:
    recording.select({"red": (4, 1.0)}, class_name="red")
    recording.stamp_ns += 5 * 10**9
    status = recording.status_of(recording.show(blue=(30, 1.0)))
    assert status.state == TargetStatus.LOST
    assert status.message == (
        "the selected 'red' is lost: it was not detected for 4 s: select it again"
    )
    recording.planner.diagnosis_saying("model", "'red' is lost")
    assert recording.select({"blue": (30, 1.0)}).object.class_name == "blue"
    status = recording.status_of(recording.show(blue=(31, 1.0)))
    assert status.state == TargetStatus.VISIBLE and not status.message


def test_a_late_subscriber_reads_the_newest_status(recording: Recording) -> None:
    recording.select({"red": (4, 1.0)})
    message = recording.show_and_wait(red=(5, 1.0))
    recording.status_of(message)
    late: list[TargetStatus] = []
    recording.planner.subscribe("/zs_seg/target_status", TargetStatus, LATCHED, late.append)
    assert wait_until(lambda: late, "the latched status")[0].header == message.header


def test_clear_ends_the_selection(recording: Recording) -> None:
    recording.select({"red": (4, 1.0)})
    answer = recording.planner.call(SelectObject, "select", SelectObject.Request(clear=True))
    assert answer.success
    wait_until(
        lambda: recording.statuses[-1].state == TargetStatus.NONE, "the status of no selection"
    )
    after = [recording.show_and_wait(red=(4, 1.0)).header.stamp for _ in range(3)]
    assert not [p for p in recording.poses if p.header.stamp in after]


def test_a_frame_of_the_object_is_broadcast(recording: Recording) -> None:
    transforms = recording.planner.listen("/tf", TFMessage, 10, matched=False)
    recording.select({"red": (4, 1.0)}, frame_id="grasp_target")

    def broadcast() -> list[Any]:
        recording.show_and_wait(red=(4, 1.0))
        return transforms

    [transform] = wait_until(broadcast, "a transform")[-1].transforms
    assert (transform.header.frame_id, transform.child_frame_id) == ("optical", "grasp_target")
    pose = recording.planner.output_with_stamp_of(transform, recording.poses).pose
    assert transform.transform.translation.z == pose.position.z
    assert transform.transform.rotation == pose.orientation


def test_the_object_cloud_has_the_points_of_its_surface_alone(recording: Recording) -> None:
    clouds = recording.planner.listen("/zs_seg/object_cloud", PointCloud2, BEST_EFFORT)
    recording.select({"red": (4, 1.5), "blue": (30, 1.0)}, class_name="red")

    def received() -> list[Any]:
        recording.show_and_wait(red=(4, 1.5), blue=(30, 1.0))
        return clouds

    points = structured(wait_until(received, "a cloud")[-1])
    assert points.shape == (1, (SIDE - 4) ** 2), "without the rim of two pixels"
    assert points["z"] == pytest.approx(1.5)
    assert (points["x"] < 0).all()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"class_name": "cat"}, "'cat' is not in the vocabulary"),
        ({"class_name": "blue"}, "no object of the class 'blue' is detected"),
        ({"track_id": 4_000_000_000}, "no object with the track id 4000000000"),
        ({"camera": "left"}, "there is no camera 'left'"),
        ({"frame_id": "a frame\x1b[31m"}, "is no name of a frame"),
    ],
)
def test_what_cannot_be_selected_is_refused_with_the_reason(
    recording: Recording, fields: dict[str, Any], reason: str
) -> None:
    before = recording.select({"red": (4, 1.0)}).object.track_id
    answer = recording.select({"red": (4, 1.0)}, **fields)
    assert not answer.success and reason in answer.message
    status = recording.status_of(recording.show(red=(4, 1.0)))
    assert status.track_id == before, "the selection before goes on"


def test_without_images_the_answer_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zs_seg_ros.ros.recent_results._PATIENCE_S", 0.2)
    with running_node(PARAMETERS) as planner:
        answer = planner.call(SelectObject, "select", SelectObject.Request())
        assert not answer.success
        assert "no image of camera was segmented within 0.2 s" in answer.message
    with running_node(PARAMETERS, state="inactive") as planner:
        assert not planner.call(SelectObject, "select", SelectObject.Request()).success


def test_a_selection_needs_no_other_subscribers() -> None:
    with running_node(PARAMETERS) as planner:
        statuses = planner.listen("/zs_seg/target_status", TargetStatus, LATCHED)
        recording = Recording(planner)
        future = planner.ask(SelectObject, "select", SelectObject.Request(class_name="red"))
        while not future.done():
            recording.show(red=(4, 1.0))
            time.sleep(0.02)
        assert future.result().success
        message = recording.show(red=(4, 1.0))
        assert planner.output_with_stamp_of(message, statuses).state == TargetStatus.VISIBLE


def test_nav2s_following_server_is_configured_for_what_the_node_publishes() -> None:
    text = (Path(__file__).parents[2] / "config/nav2_following.yaml").read_text()
    parameters = yaml.safe_load(text)["following_server"]["ros__parameters"]
    assert parameters["detection_timeout"] < LONGEST_ABSENCE_S, "hidden objects have no pose"
    with running_node(PARAMETERS) as planner:
        topics = dict(planner.node.get_topic_names_and_types())
    assert topics["/zs_seg/target"] == ["geometry_msgs/msg/PoseStamped"]
    assert "{pose_topic: /zs_seg/target}" in text
