# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Builds ROS messages without ROS, from the definitions in msg/."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from zs_seg_ros.perception.masks import decode_runs, encode_runs
from zs_seg_ros.types import Box, DetectedObject, Frame, Metres, Scene, size_of
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary

IMAGE = "sensor_msgs/msg/Image"
OBJECTS = "zs_seg_ros/msg/ObjectMaskArray"
VOCABULARY = "zs_seg_ros/msg/Vocabulary"


@cache
def message_types() -> Typestore:
    """Return the message types of ROS 2 Jazzy and of this package."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for file in sorted(_definitions().glob("*.msg")):
        name = f"zs_seg_ros/msg/{file.stem}"
        store.register(get_types_from_msg(file.read_text(encoding="utf-8"), name))
    return store


def _definitions() -> Path:
    """Return the folder msg/ of the source checkout, or its installed copy."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "message_definitions"
    return installed if installed.is_dir() else package.parent / "msg"


def serialised(message: Any) -> memoryview:
    """Return the message's CDR, as ROS 2 sends it."""
    return message_types().serialize_cdr(message, message.__msgtype__)


def _new(message_type: str, **fields: Any) -> Any:
    return message_types().types[message_type](**fields)


def _header(stamp_ns: int = 0, frame_id: str = "") -> Any:
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    stamp = _new("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
    return _new("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def header_of(frame: Frame) -> Any:
    """Return the header of the frame's image."""
    return _header(frame.stamp_ns, frame.frame_id)


def image_message(pixels: NDArray[Any], encoding: str, header: Any) -> Any:
    """Return an Image without padding. pixels: (H, W) or (H, W, C), in native (little-endian) byte order."""
    height, width = pixels.shape[:2]
    return _new(
        IMAGE,
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=pixels.nbytes // height,
        data=np.ascontiguousarray(pixels).reshape(-1).view(np.uint8),
    )


def label_message(scene: Scene) -> Any:
    """Return the label image: mono8, or mono16 when the vocabulary has an id above 254."""
    label = scene.segmentation.label
    encoding = "mono8" if label.dtype == np.uint8 else "mono16"
    return image_message(label, encoding, header_of(scene.frame))


def confidence_message(scene: Scene) -> Any:
    """Return the confidence of each pixel times 255 as a mono8 Image."""
    return image_message(scene.segmentation.confidence, "mono8", header_of(scene.frame))


def objects_message(scene: Scene) -> Any:
    """Return the detections of a scene as an ObjectMaskArray."""
    height, width = size_of(scene.frame.image)
    names = dict(zip(scene.vocabulary.ids, scene.vocabulary.names, strict=True))
    header = header_of(scene.frame)
    return _new(
        OBJECTS,
        header=header,
        height=height,
        width=width,
        inferred_stamp=header.stamp,
        vocabulary_version=scene.vocabulary.version,
        objects=[_object_message(detected, names[detected.class_id]) for detected in scene.objects],
    )


def _object_message(detected: DetectedObject, name: str) -> Any:
    box, surface = detected.box, detected.surface
    zero = (0.0, 0.0, 0.0)
    return _new(
        "zs_seg_ros/msg/ObjectMask",
        class_id=detected.class_id,
        class_name=name,
        score=detected.score,
        track_id=detected.track_id,
        roi=_new(
            "sensor_msgs/msg/RegionOfInterest",
            x_offset=box.left,
            y_offset=box.top,
            height=box.height,
            width=box.width,
            do_rectify=False,
        ),
        counts=encode_runs(detected.mask),
        area=detected.area,
        has_position=surface is not None,
        position=_vector("Point", zero if surface is None else surface.centre),
        size=_vector("Vector3", zero if surface is None else surface.size),
    )


def _vector(kind: str, values: Metres) -> Any:
    return _new(f"geometry_msgs/msg/{kind}", **dict(zip("xyz", values, strict=True)))


def detected_objects(messages: Iterable[Any]) -> tuple[DetectedObject, ...]:
    """Convert ObjectMask messages, without their positions."""
    return tuple(
        DetectedObject(
            m.class_id,
            m.score,
            Box(m.roi.x_offset, m.roi.y_offset, m.roi.width, m.roi.height),
            decode_runs(m.counts, m.roi.height, m.roi.width),
            m.track_id,
        )
        for m in messages
    )


def vocabulary_message(vocabulary: Vocabulary) -> Any:
    """Return a vocabulary with its ids and version as a Vocabulary message."""
    return _new(
        VOCABULARY,
        header=_header(vocabulary.stamp_ns),
        version=vocabulary.version,
        ids=np.array(vocabulary.ids, np.uint16),
        classes=[_target_message(target) for target in vocabulary.classes],
    )


def _target_message(target: TargetClass) -> Any:
    return _new(
        "zs_seg_ros/msg/TargetClass",
        name=target.name,
        id=target.id,
        prompts=list(target.prompts),
        threshold=target.threshold,
        exemplars=[_exemplar_message(exemplar) for exemplar in target.exemplars],
        negatives=list(target.negatives),
    )


def _exemplar_message(exemplar: Exemplar) -> Any:
    return _new(
        "zs_seg_ros/msg/Exemplar",
        image=image_message(exemplar.image, "rgb8", _header()),
        mask=_empty_image()
        if exemplar.mask is None
        else image_message(exemplar.mask.astype(np.uint8) * 255, "mono8", _header()),
    )


def _empty_image() -> Any:
    return _new(
        IMAGE,
        header=_header(),
        height=0,
        width=0,
        encoding="",
        is_bigendian=0,
        step=0,
        data=np.zeros(0, np.uint8),
    )
