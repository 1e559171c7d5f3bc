"""Scenes to messages of vision_msgs 4, where that package is installed: detections, and the names of class ids."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import Point, Pose, PoseWithCovariance, Quaternion, Vector3
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
    header = header_of(scene.frame)
    names = _names(scene)
    return vision.Detection2DArray(
        header=header,
        detections=[
            vision.Detection2D(
                header=header,
                results=[_hypothesis(detected, names, scene.camera_pose is None)],
                bbox=_box_2d(detected),
                id=_id(detected),
            )
            for detected in scene.objects
        ],
    )


def detections_3d_message(scene: Scene) -> Any:
    """Make a Detection3DArray of the objects that have a position.

    Boxes are those of the visible surfaces, along the axes of the frame in the header, in metres. Class ids are the
    names of the classes, and ids are track ids, empty for objects without one. Covariances are unknown: 0.
    """
    header = header_of_positions(scene)
    names = _names(scene)
    return vision.Detection3DArray(
        header=header,
        detections=[
            vision.Detection3D(
                header=header,
                results=[_hypothesis(detected, names)],
                bbox=_box_3d(detected.surface),
                id=_id(detected),
            )
            for detected in scene.objects
            if detected.surface is not None
        ],
    )


def _names(scene: Scene) -> dict[int, str]:
    return dict(zip(scene.vocabulary.ids, scene.vocabulary.names, strict=True))


def _id(detected: DetectedObject) -> str:
    return str(detected.track_id) if detected.track_id else ""


def _hypothesis(detected: DetectedObject, names: dict[int, str], with_pose: bool = True) -> Any:
    pose = Pose()
    if with_pose and detected.surface is not None:
        pose = _pose_of(detected.surface)
    return vision.ObjectHypothesisWithPose(
        hypothesis=vision.ObjectHypothesis(
            class_id=names[detected.class_id], score=float(detected.score)
        ),
        pose=PoseWithCovariance(pose=pose),
    )


def _box_2d(detected: DetectedObject) -> Any:
    box = detected.box
    centre = vision.Point2D(x=box.left + box.width / 2, y=box.top + box.height / 2)
    return vision.BoundingBox2D(
        center=vision.Pose2D(position=centre), size_x=float(box.width), size_y=float(box.height)
    )


def _box_3d(surface: VisibleSurface) -> Any:
    x, y, z = surface.size
    return vision.BoundingBox3D(center=_pose_of(surface), size=Vector3(x=x, y=y, z=z))


def _pose_of(surface: VisibleSurface) -> Pose:
    """The pose of the middle of the 3-D bounding box."""
    x, y, z = surface.middle
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(w=1.0))
