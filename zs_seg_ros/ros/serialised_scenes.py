# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Label images and objects as serialised messages.

rclpy sets some 40 fields for each object, one by one in Python, and copies an image four times to serialise it. What is
written here has the fields of the messages of `scene_messages`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from std_msgs.msg import Header

from zs_seg_ros.perception.instance_image import class_mask, instance_image
from zs_seg_ros.perception.masks import encode_all_runs
from zs_seg_ros.perception.output_size import reduced
from zs_seg_ros.ros.cdr import CdrWriter, encoded_text
from zs_seg_ros.ros.conversions import header_of
from zs_seg_ros.ros.scene_messages import published_segmentation
from zs_seg_ros.types import DetectedObject, Scene
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

_NO_SURFACE = (0.0,) * 6


def serialised_image(pixels: NDArray[Any], encoding: str, header: Header) -> bytes:
    """Serialise a sensor_msgs/Image without row padding. pixels: (H, W) or (H, W, C), in little endian."""
    height, width = pixels.shape[:2]
    writer = _started(header)
    writer.values("II", height, width)
    writer.text(encoding)
    writer.values("?I", False, pixels.nbytes // height)
    return writer.finished_with(pixels)


def serialised_instances(scene: Scene) -> bytes:
    """Serialise the 32SC1 instance image: class ids in the upper 16 bits, the place in ~/CAM/objects in the lower."""
    image = instance_image(scene.segmentation.label, scene.objects)
    return serialised_image(reduced(image, scene.output_scale), "32SC1", header_of(scene.frame))


def serialised_class_mask(scene: Scene, names: Collection[str]) -> bytes:
    """Serialise the mono8 mask: 255 on the classes with these names, or, without names, on all classes."""
    vocabulary = scene.vocabulary
    ids = [
        i
        for i, name in zip(vocabulary.ids, vocabulary.names, strict=True)
        if not names or name in names
    ]
    mask = class_mask(published_segmentation(scene).label, ids)
    return serialised_image(mask, "mono8", header_of(scene.frame))


def serialised_objects(
    objects: Sequence[DetectedObject],
    size: tuple[int, int],
    vocabulary: Vocabulary,
    header: Header,
    inferred_stamp: Time,
) -> bytes:
    """Serialise the ObjectMaskArray of `scene_messages.objects_message`, which describes the arguments."""
    names = dict(zip(vocabulary.ids, map(encoded_text, vocabulary.names), strict=True))
    writer = _started(header)
    stamp = inferred_stamp.sec, inferred_stamp.nanosec
    writer.values("IIiIII", *size, *stamp, vocabulary.version, len(objects))
    all_counts = encode_all_runs([detected.mask for detected in objects])
    for detected, counts in zip(objects, all_counts, strict=True):
        _append(writer, detected, names[detected.class_id], counts)
    return writer.finished()


def _started(header: Header) -> CdrWriter:
    writer = CdrWriter()
    writer.values("iI", header.stamp.sec, header.stamp.nanosec)
    writer.text(header.frame_id)
    return writer


def _append(
    writer: CdrWriter, detected: DetectedObject, name: bytes, counts: NDArray[np.uint32]
) -> None:
    """Append an ObjectMask. name: of its class, as `encoded_text` gives it."""
    # Numbers beside each other are packed in one call, lengths of texts and sequences too.
    writer.values("HI", detected.class_id, len(name))
    writer.contents(name)
    box, surface = detected.box, detected.surface
    roi = box.left, box.top, box.height, box.width, False
    writer.values("fIIIII?I", detected.score, detected.track_id, *roi, counts.size)
    writer.contents(counts.tobytes())
    place = _NO_SURFACE if surface is None else (*surface.centre, *surface.size)
    writer.values("I?dddddd", detected.area, surface is not None, *place)
