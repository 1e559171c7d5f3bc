# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Positions in a fixed frame while the camera moves, as a planner reads them: by header and coordinates alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray
from planner import TIMEOUT_S, Planner, header_of, image_message, running_node, stamp, stripes
from test_depth import FOCAL_PX, HEIGHT, WIDTH, camera_info, depth_image, structured, wall
from tf2_msgs.msg import TFMessage

PARAMETERS = {
    "camera.depth": True,
    "classes": ["red", "blue"],
    "target_frame": "map",
    "min_area": 4,
}
IMAGE = stripes("red", "white", "blue", height=HEIGHT, width=16)
STEP_NS = 100_000_000
SHIFT_M = np.array([3.0, -1.0, 0.7])


class MovingCamera:
    """A camera that looks along the x axis of the map, whose z axis points up, and drives along x."""

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self.stamp_ns = time.time_ns()
        self.travelled_m = 0.0
        self._transforms = planner.node.create_publisher(TFMessage, "/tf", 100)

    def publish_pose(self, later_ns: int = 0) -> None:
        transform = TransformStamped(child_frame_id="optical")
        transform.header.frame_id = "map"
        seconds, nanoseconds = divmod(self.stamp_ns + later_ns, 10**9)
        transform.header.stamp.sec, transform.header.stamp.nanosec = seconds, nanoseconds
        x, y, z = SHIFT_M + np.array([self.travelled_m, 0.0, 0.0])
        place, turn = transform.transform.translation, transform.transform.rotation
        place.x, place.y, place.z = x, y, z
        turn.x, turn.y, turn.z, turn.w = -0.5, 0.5, -0.5, 0.5  # optical: z forward, x right
        self._transforms.publish(TFMessage(transforms=[transform]))

    def next_image(self, distance_m: float, output: str, with_pose: bool = True) -> Any:
        """Drive half a metre on and return the output for an image of a wall at this distance."""
        self.stamp_ns += STEP_NS
        self.travelled_m += 0.5
        received = self.planner.outputs(output)
        if with_pose:
            self.publish_pose()
        message = image_message(IMAGE)
        stamp(message, self.stamp_ns)
        self.planner.send_depth(depth_image(wall(distance_m), message), camera_info())
        self.planner.send(message)
        return self.planner.output_with_stamp_of(message, received)

    def located(self, distance_m: float, with_pose: bool = True) -> Any:
        """Drive on until the objects have positions."""
        return self._driven_until(
            lambda objects: all(o.has_position for o in objects.objects),
            distance_m,
            "objects",
            with_pose,
        )

    def mapped(self, output: str) -> Any:
        """Drive on until an output is in the map."""
        return self._driven_until(
            lambda message: header_of(message).frame_id == "map", 3.0, output, True
        )

    def _driven_until(
        self, condition: Callable[[Any], bool], distance_m: float, output: str, with_pose: bool
    ) -> Any:
        """A busy machine may pair an image without its depth, or deliver its pose too late."""
        end = time.monotonic() + TIMEOUT_S
        while True:
            message = self.next_image(distance_m, output, with_pose)
            if condition(message):
                return message
            assert time.monotonic() < end, "waited in vain for a result with depth and pose"


@pytest.fixture
def camera() -> Iterator[MovingCamera]:
    with running_node(PARAMETERS) as planner:
        camera = MovingCamera(planner)
        camera.located(2.0)  # once camera_info and transforms are matched
        yield camera


def in_map(camera: MovingCamera, optical: NDArray[Any]) -> NDArray[Any]:
    """A point of the optical frame in the map: forward is x, right is -y, down is -z."""
    right, down, forward = optical
    place: NDArray[Any] = (
        SHIFT_M + np.array([camera.travelled_m, 0, 0]) + np.array([forward, -right, -down])
    )
    return place


def test_positions_stand_still_while_the_camera_moves(camera: MovingCamera) -> None:
    errors_m = []
    for distance_m in (4.0, 3.5, 3.0, 2.5, 2.0):  # the wall stands still
        objects = camera.located(distance_m)
        assert objects.header.frame_id == "map"
        for detected in objects.objects:
            side = {"red": -1, "blue": 1}[detected.class_name]
            truth = in_map(
                camera, np.array([(side * 16 - 0.5) / FOCAL_PX * distance_m, 0, distance_m])
            )
            position = detected.position
            errors_m.append(np.abs(truth - [position.x, position.y, position.z]).max())
            assert detected.size.y == pytest.approx(16 / FOCAL_PX * distance_m, abs=0.1)
            assert detected.size.x == pytest.approx(0.0, abs=0.01), "the wall is flat along x"
    assert np.median(errors_m) <= 0.05


def test_the_cloud_is_in_the_target_frame(camera: MovingCamera) -> None:
    message = camera.mapped("points")
    cloud = structured(message)
    for row, column in ((0, 0), (5, 40), (HEIGHT - 1, WIDTH - 1)):
        ray = np.array([(column - WIDTH / 2) / FOCAL_PX, (row - HEIGHT / 2) / FOCAL_PX, 1.0])
        point = cloud[row, column]
        assert [point["x"], point["y"], point["z"]] == pytest.approx(
            in_map(camera, ray * 3.0), abs=1e-4
        )


def test_detections_and_markers_are_in_the_target_frame_and_masks_stay(
    camera: MovingCamera,
) -> None:
    detections = camera.mapped("detections_3d")
    box = detections.detections[0].bbox
    assert box.center.position.x == pytest.approx(SHIFT_M[0] + camera.travelled_m + 3.0, abs=0.01)
    markers = camera.mapped("markers").markers
    assert {m.header.frame_id for m in markers} == {"map"}
    box_marker = next(m for m in markers if m.ns == "boxes")
    name_marker = next(m for m in markers if m.ns == "names")
    assert name_marker.pose.position.z > box_marker.pose.position.z, "z points up in the map"
    assert camera.next_image(3.0, "label").header.frame_id == "optical"
    flat = camera.next_image(3.0, "detections")
    assert flat.header.frame_id == "optical"
    assert flat.detections[0].results[0].pose.pose.position.x == 0.0


def test_without_the_transform_results_in_2d_go_on_and_diagnostics_say_why(
    camera: MovingCamera,
) -> None:
    objects = camera.next_image(3.0, "objects", with_pose=False)
    assert len(objects.objects) == 2 and not any(o.has_position for o in objects.objects)
    assert objects.header.frame_id == "optical"
    camera.planner.diagnosis_saying("camera", "no positions in target_frame 'map'", "older than")
    assert camera.located(3.0).header.frame_id == "map"


def test_a_tolerance_accepts_the_newest_transform(camera: MovingCamera) -> None:
    assert camera.planner.set_parameters({"target_frame_tolerance": 10.0}).successful
    objects = camera.located(3.0, with_pose=False)
    assert objects.header.frame_id == "map"
    assert camera.planner.set_parameters({"target_frame_tolerance": 0.15}).successful
    objects = camera.located(3.0)
    camera.next_image(3.0, "objects", with_pose=False)
    objects = camera.next_image(3.0, "objects", with_pose=False)
    assert not any(o.has_position for o in objects.objects), "0.2 s are more than the tolerance"


def test_the_frame_can_change_while_the_node_runs(camera: MovingCamera) -> None:
    assert camera.planner.set_parameters({"target_frame": ""}).successful
    objects = camera.located(3.0)
    assert objects.header.frame_id == "optical"
    assert objects.objects[0].position.z == pytest.approx(3.0, abs=0.01)
    assert camera.planner.set_parameters({"target_frame": "optical"}).successful
    objects = camera.located(3.0)
    assert objects.objects[0].position.z == pytest.approx(3.0, abs=0.01)
