# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Scenes to messages: label image, confidence, detected objects, overlay, point cloud, markers."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image, PointCloud2, PointField, RegionOfInterest
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

import zs_seg_ros.msg as messages
from zs_seg_ros.perception.masks import encode_all_runs
from zs_seg_ros.perception.output_size import at_output_size
from zs_seg_ros.perception.overlay import class_colour, draw_overlay
from zs_seg_ros.ros.conversions import fill, header_of, header_of_positions, image_message
from zs_seg_ros.types import DetectedObject, Label, Scene, Segmentation, VisibleSurface, size_of
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

_POINT_FIELD_TYPE = {
    "f4": PointField.FLOAT32,
    "u4": PointField.UINT32,
    "u2": PointField.UINT16,
}
_NAME_HEIGHT_M = 0.04
_JPEG_QUALITY = 80
"""Of 100: names and outlines stay legible."""


def published_segmentation(scene: Scene) -> Segmentation:
    """Return the segmentation at the size at which label and confidence are published."""
    return at_output_size(scene.segmentation, size_of(scene.frame.image), scene.output_scale)


def label_encoding(label: Label) -> str:
    """Return mono8, or mono16 when the vocabulary has an id above 254."""
    return "mono8" if label.dtype == np.uint8 else "mono16"


def label_message(label: Label, header: Header) -> Image:
    """Make the label image, with the encoding of `label_encoding`."""
    return image_message(label, label_encoding(label), header)


def confidence_message(confidence: NDArray[np.uint8], header: Header) -> Image:
    """Make the mono8 image of confidences, 0..255."""
    return image_message(confidence, "mono8", header)


def overlay_message(scene: Scene) -> Image:
    """Draw masks, outlines, names and scores over the image, as rgb8."""
    return image_message(_overlay(scene), "rgb8", header_of(scene.frame))


def compressed_overlay_message(scene: Scene) -> CompressedImage:
    """Draw the overlay, as a JPEG of about a tenth of the bytes, in the form of image_transport's compressed images."""
    bgr = cv2.cvtColor(_overlay(scene), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    message = CompressedImage(header=header_of(scene.frame), format="rgb8; jpeg compressed bgr8")
    fill(message, encoded)
    return message


def _overlay(scene: Scene) -> NDArray[np.uint8]:
    label = scene.segmentation.label
    return draw_overlay(scene.frame.image, label, scene.objects, scene.vocabulary)


def objects_message(
    objects: Sequence[DetectedObject],
    size: tuple[int, int],
    vocabulary: Vocabulary,
    header: Header,
    inferred_stamp: Time | None = None,
) -> messages.ObjectMaskArray:
    """Make the array of instance masks. size: (H, W) of the image; names and ids are those of `vocabulary`.

    An object with the id 0 has no name. inferred_stamp: of the image that the model segmented; None for the header's.
    """
    names = {0: "", **dict(zip(vocabulary.ids, vocabulary.names, strict=True))}
    all_counts = encode_all_runs([detected.mask for detected in objects])
    return messages.ObjectMaskArray(
        header=header,
        height=size[0],
        width=size[1],
        inferred_stamp=inferred_stamp or header.stamp,
        vocabulary_version=vocabulary.version,
        objects=[
            _object_message(detected, names[detected.class_id], counts)
            for detected, counts in zip(objects, all_counts, strict=True)
        ],
    )


def object_message(detected: DetectedObject, name: str) -> messages.ObjectMask:
    """Make the message of one object. name: of its class."""
    [counts] = encode_all_runs([detected.mask])
    return _object_message(detected, name, counts)


def _object_message(
    detected: DetectedObject, name: str, counts: NDArray[np.uint32]
) -> messages.ObjectMask:
    box = detected.box
    message = messages.ObjectMask(
        class_id=detected.class_id,
        class_name=name,
        score=detected.score,
        track_id=detected.track_id,
        roi=RegionOfInterest(
            x_offset=box.left, y_offset=box.top, width=box.width, height=box.height
        ),
        counts=array("I", counts.tobytes()),
        area=detected.area,
    )
    if detected.surface is not None:
        message.has_position = True
        message.position = Point(**_x_y_z(detected.surface.centre))
        message.size = Vector3(**_x_y_z(detected.surface.size))
    return message


def _x_y_z(values: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip("xyz", values, strict=True))


def points_message(cloud: NDArray[Any], header: Header) -> PointCloud2:
    """Make an organised point cloud. cloud: (H, W), structured, from `labelled_cloud.cloud`."""
    return cloud_message(cloud, header, is_dense=False)


def cloud_message(cloud: NDArray[Any], header: Header, is_dense: bool) -> PointCloud2:
    """Make a point cloud of (H, W) structured points. is_dense: whether no coordinate is NaN.

    Not by sensor_msgs_py's create_cloud: it takes the rows of an organised cloud for columns.
    """
    fields = [
        PointField(name=name, offset=offset, datatype=_POINT_FIELD_TYPE[kind.str[1:]], count=1)
        for name, (kind, offset, *_) in (cloud.dtype.fields or {}).items()
    ]
    message = PointCloud2(
        header=header,
        height=cloud.shape[0],
        width=cloud.shape[1],
        fields=fields,
        is_bigendian=False,
        point_step=cloud.itemsize,
        row_step=cloud.itemsize * cloud.shape[1],
        is_dense=is_dense,
    )
    fill(message, cloud)
    return message


def markers_message(scene: Scene) -> MarkerArray:
    """Make a bounding box and a name for each object with a position; the last frame's are deleted first."""
    header = header_of_positions(scene)
    z_is_up = scene.camera_pose is not None  # REP 103: in an optical frame y points down
    names = dict(zip(scene.vocabulary.ids, scene.vocabulary.names, strict=True))
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    for number, detected in enumerate(scene.objects):
        if detected.surface is not None:
            name = f"{names[detected.class_id]} {detected.score:.2f}"
            if detected.track_id:
                name += f" #{detected.track_id}"
            markers += _object_markers(detected, detected.surface, name, number, header, z_is_up)
    return MarkerArray(markers=markers)


def _object_markers(
    detected: DetectedObject,
    surface: VisibleSurface,
    name: str,
    number: int,
    header: Header,
    z_is_up: bool,
) -> list[Marker]:
    red, green, blue = (part / 255 for part in class_colour(detected.class_id))
    x, y, z = surface.middle
    upright = Quaternion(w=1.0)
    box = Marker(
        header=header,
        ns="boxes",
        id=number,
        type=Marker.CUBE,
        pose=Pose(position=Point(x=x, y=y, z=z), orientation=upright),
        scale=Vector3(**_x_y_z(surface.size)),
        color=ColorRGBA(r=red, g=green, b=blue, a=0.5),
    )
    if z_is_up:
        above = Point(x=x, y=y, z=surface.high[2] + _NAME_HEIGHT_M)
    else:
        above = Point(x=x, y=surface.low[1] - _NAME_HEIGHT_M, z=z)
    text = Marker(
        header=header,
        ns="names",
        id=number,
        type=Marker.TEXT_VIEW_FACING,
        pose=Pose(position=above, orientation=upright),
        scale=Vector3(z=_NAME_HEIGHT_M),
        color=ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0),
        text=name,
    )
    return [box, text]
