# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Outputs that other packages read as they are: vision_msgs, instance images, masks of classes, JPEG overlays.

Each is read here by the public definition of its message alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from planner import LATCHED, Planner, image_message, pixels, running_node, stamp, stripes
from test_depth import HEIGHT, IMAGE, WIDTH, answer, wall
from vision_msgs.msg import Detection2DArray, LabelInfo

PARAMETERS = {
    "camera.depth": True,
    "classes": ["red", "blue"],
    "camera.mask_classes": ["blue", "violet"],
}


@pytest.fixture(scope="module")
def planner() -> Iterator[Planner]:
    with running_node(PARAMETERS) as planner:
        answer(planner, wall())  # the camera_info may come after the first depth image
        yield planner


def test_a_detection_has_box_name_score_and_track_id(planner: Planner) -> None:
    for _ in range(2):  # an object has a track id once it was detected twice
        message = answer(planner, wall(), "detections")
    assert isinstance(message, Detection2DArray)
    detections = {d.results[0].hypothesis.class_id: d for d in message.detections}
    assert set(detections) == {"red", "blue"}
    for name, left in (("red", 0), ("blue", 32)):
        detection = detections[name]
        assert detection.header == message.header
        assert len(detection.results) == 1
        assert 0.5 < detection.results[0].hypothesis.score <= 1.0
        centre = detection.bbox.center
        assert (centre.position.x, centre.position.y) == (left + 8, HEIGHT / 2)
        assert centre.theta == 0.0
        assert (detection.bbox.size_x, detection.bbox.size_y) == (16.0, HEIGHT)
        assert not any(detection.results[0].pose.covariance)
    ids = [detection.id for detection in message.detections]
    assert all(ids) and len(set(ids)) == 2


def test_ids_are_the_track_ids_of_the_objects(planner: Planner) -> None:
    planner.outputs("objects")
    message = answer(planner, wall(), "detections")
    objects = planner.output_with_stamp_of(message, planner.outputs("objects")).objects
    assert [d.id for d in message.detections] == [
        str(o.track_id) if o.track_id else "" for o in objects
    ]
    assert [d.results[0].hypothesis.class_id for d in message.detections] == [
        o.class_name for o in objects
    ]


def test_a_detection_in_3d_has_the_box_of_the_visible_surface_in_metres(planner: Planner) -> None:
    message = answer(planner, wall(2.0), "detections_3d")
    detections = {d.results[0].hypothesis.class_id: d for d in message.detections}
    for name, side in (("red", -1), ("blue", 1)):
        box = detections[name].bbox
        assert box.center.position.x == pytest.approx(side * 16 / 50 * 2.0, abs=0.05)
        assert box.center.position.z == pytest.approx(2.0, abs=0.01)
        assert box.center.orientation.w == 1.0
        assert box.size.x == pytest.approx(16 / 50 * 2.0, abs=0.12)
        assert detections[name].results[0].pose.pose == box.center


def test_an_object_without_measured_depth_is_detected_in_2d_alone(planner: Planner) -> None:
    planner.outputs("detections_3d")
    depth = wall()
    depth[:, :16] = np.nan
    message = answer(planner, depth, "detections")
    in_3d = planner.output_with_stamp_of(message, planner.outputs("detections_3d"))
    assert len(message.detections) == 2
    assert [d.results[0].hypothesis.class_id for d in in_3d.detections] == ["blue"]
    without = next(d for d in message.detections if d.results[0].hypothesis.class_id == "red")
    assert without.results[0].pose.pose.orientation.w == 1.0


def test_label_info_names_the_ids_and_follows_the_threshold(planner: Planner) -> None:
    infos = planner.listen("/zs_seg/camera/label_info", LabelInfo, LATCHED)
    info = planner.wait_for_more(infos, than=0)[-1]
    assert {c.class_id: c.class_name for c in info.class_map} == {1: "red", 2: "blue"}
    assert info.threshold == pytest.approx(0.5)
    assert planner.set_parameters({"default_threshold": 0.375}).successful
    assert planner.wait_for_more(infos, than=1)[-1].threshold == pytest.approx(0.375)
    assert planner.set_parameters({"default_threshold": 0.5}).successful


def test_the_instance_image_has_class_and_place_in_the_objects(planner: Planner) -> None:
    planner.outputs("objects")
    message = answer(planner, wall(), "instances")
    assert message.encoding == "32SC1"
    image = pixels(message)
    objects = planner.output_with_stamp_of(message, planner.outputs("objects")).objects
    for place, detected in enumerate(objects, start=1):
        mine = (image & 0xFFFF) == place
        assert mine.sum() == detected.area
        assert set(image[mine] >> 16) == {detected.class_id}
    assert (image[:, 16:32] == 0).all()


def test_the_mask_marks_the_chosen_classes_and_names_unknown_ones(planner: Planner) -> None:
    message = answer(planner, wall(), "mask")
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[:, 32:] = 255
    assert message.encoding == "mono8"
    assert (pixels(message) == expected).all()
    planner.diagnosis_saying("camera", "mask_classes", "'violet'", "vocabulary")


def test_without_mask_classes_the_mask_marks_all_classes() -> None:
    with running_node({"classes": ["red", "blue"]}) as planner:
        mask = pixels(planner.answer_to(image_message(IMAGE), "mask"))
        assert (mask[:, :16] == 255).all() and (mask[:, 32:] == 255).all()
        assert (mask[:, 16:32] == 0).all()


def test_a_compressed_overlay_is_the_overlay_as_jpeg(planner: Planner) -> None:
    big = np.asarray(stripes("red", "white", "blue", height=240, width=107))
    message = image_message(big)
    stamp(message, time.time_ns())
    overlays = planner.outputs("overlay")
    compressed = planner.answer_to(message, "overlay/compressed")
    raw = pixels(planner.output_with_stamp_of(message, overlays))
    assert compressed.format == "rgb8; jpeg compressed bgr8"
    decoded = cv2.imdecode(np.frombuffer(compressed.data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == raw.shape
    difference = np.abs(decoded[..., ::-1].astype(int) - raw)
    assert difference.mean() < 5
    assert len(compressed.data) < raw.nbytes / 10
