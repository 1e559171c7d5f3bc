# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Scenes to messages of vision_msgs 4, where that package is installed: detections, and the names of class ids."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import Pose
from std_msgs.msg import Header

from zs_seg_ros.ros.conversions import header_of, header_of_positions
from zs_seg_ros.types import DetectedObject, Scene, VisibleSurface
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

try:
    import vision_msgs.msg as vision
except ImportError:  # not among the wheels on PyPI
    vision = None

LabelInfo: Any = getattr(vision, "LabelInfo", None)
Detection2DArray: Any = getattr(vision, "Detection2DArray", None)
Detection3DArray: Any = getattr(vision, "Detection3DArray", None)
"""Types of messages; None where vision_msgs is not installed."""


def label_info_message(vocabulary: Vocabulary, header: Header, threshold: float) -> Any:
    """Make a LabelInfo; None where vision_msgs is not installed."""
    if vision is None:
        return None
    return vision.LabelInfo(
        header=header,
        class_map=[
            vision.VisionClass(class_id=i, class_name=name)
            for i, name in zip(vocabulary.ids, vocabulary.names, strict=True)
        ],
        threshold=threshold,
    )


def detections_message(scene: Scene) -> Any:
    """Make a Detection2DArray of all objects.

    Class ids are the names of the classes, and ids are track ids, empty for objects without one. Boxes are in pixels
    of the image, whose first pixel spans 0 to 1. Poses are those of `detections_3d_message`; the identity without
    depth, and where positions are in another frame than that of the image.
    """
    header, names = header_of(scene.frame), _names(scene)
    with_pose = scene.camera_pose is None
    array = vision.Detection2DArray(header=header)
    for detected in scene.objects:
        detection, box = vision.Detection2D(), detected.box
        _fill(detection, header, detected, names, with_pose)
        centre = detection.bbox.center.position
        centre.x, centre.y = box.left + box.width / 2, box.top + box.height / 2
        detection.bbox.size_x, detection.bbox.size_y = float(box.width), float(box.height)
        array.detections.append(detection)
    return array


def detections_3d_message(scene: Scene) -> Any:
    """Make a Detection3DArray of the objects that have a position.

    Boxes are those of the visible surfaces, along the axes of the frame in the header, in metres. Class ids are the
    names of the classes, and ids are track ids, empty for objects without one. Covariances are unknown: 0.
    """
    header, names = header_of_positions(scene), _names(scene)
    array = vision.Detection3DArray(header=header)
    for detected in scene.objects:
        if (surface := detected.surface) is not None:
            detection = vision.Detection3D()
            _fill(detection, header, detected, names)
            _put(detection.bbox.center, surface)
            size = detection.bbox.size
            size.x, size.y, size.z = surface.size
            array.detections.append(detection)
    return array


def _names(scene: Scene) -> dict[int, str]:
    return dict(zip(scene.vocabulary.ids, scene.vocabulary.names, strict=True))


def _fill(
    detection: Any,
    header: Header,
    detected: DetectedObject,
    names: dict[int, str],
    with_pose: bool = True,
) -> None:
    """Set the fields that both kinds of detections have.

    Fields of new messages are set in place: a constructor makes default values of all its fields, also of those given.
    """
    detection.header = header
    detection.id = str(detected.track_id) if detected.track_id else ""
    result = vision.ObjectHypothesisWithPose()
    result.hypothesis.class_id = names[detected.class_id]
    result.hypothesis.score = float(detected.score)
    if with_pose and detected.surface is not None:
        _put(result.pose.pose, detected.surface)
    detection.results.append(result)


def _put(pose: Pose, surface: VisibleSurface) -> None:
    """Set a new pose to the middle of the 3-D bounding box; its orientation is the identity already."""
    position = pose.position
    position.x, position.y, position.z = surface.middle
