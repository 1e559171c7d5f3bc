# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Ground truth from a recording with label images: one of zs-seg label, of a node's results, or of a simulator.

A topic X/label of mono8 or mono16 images goes with the images of the same stamp. The names of its ids are in a
vision_msgs/LabelInfo on X/label_info or, without one, in the recording's zs_seg_ros/Vocabulary. Instance numbers on a
topic X/instance, where there is one, separate the objects.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.bags.bag_cameras import BagCamera, find_cameras
from zs_seg_ros.errors import EvaluationError
from zs_seg_ros.evaluation.class_id_images import numbers
from zs_seg_ros.evaluation.truth import (
    Truth,
    TruthFrame,
    TruthObject,
    errors_as_evaluation_errors,
)
from zs_seg_ros.images.compressed_images import CompressedImageReader
from zs_seg_ros.images.message_images import image_from_message, stamp_ns, values_from_image
from zs_seg_ros.labelling.messages import VOCABULARY
from zs_seg_ros.shown import shown
from zs_seg_ros.vocabulary.vocabulary import TargetClass

_IMAGE, _LABEL_INFO = "sensor_msgs/msg/Image", "vision_msgs/msg/LabelInfo"
_MOST_HELD = 64
"""Images whose label image may be recorded later, and the other way round."""


class BagTruth(Truth):
    """The images of one camera of a recording with their label images."""

    def __init__(self, folder: Path, camera: str = "", label_topic: str = "") -> None:
        """Find the topics. camera, label_topic: empty for the only ones. Raises EvaluationError and BagError."""
        self._folder = folder
        with Bag(folder) as bag:
            self._label = label_topic or _only_label(bag)
            bag.require([self._label])
            self._camera = _camera_of(bag, self._label, camera)
            names = _names(bag, self._label)
            instance = f"{self._label.removesuffix('label')}instance"
            known = bag.topics.get(instance)
            self._instance = instance if known and known.message_type == _IMAGE else ""
            self._length = bag.topics[self._label].message_count
        self.separates_objects = bool(self._instance)
        self.classes = tuple(TargetClass(name) for name in names.values())
        self._numbers = {class_id: number for number, class_id in enumerate(names, 1)}

    def __len__(self) -> int:
        return self._length

    def frames(self, every: int = 1) -> Iterator[TruthFrame]:
        image_topic = self._camera.image
        topics = [topic for topic in (image_topic, self._label, self._instance) if topic]
        reader = CompressedImageReader() if self._camera.transport == "compressed" else None
        held: dict[int, dict[str, Any]] = {}
        count = itertools.count()
        with Bag(self._folder) as bag:
            for message in bag.messages(topics):
                topic, content = message.topic.name, message.content
                with errors_as_evaluation_errors(
                    f"an image on {topic} in {shown(str(self._folder), 300)} cannot be read"
                ):
                    stamp = stamp_ns(content.header.stamp)
                    parts = held.setdefault(stamp, {})
                    # A stream of video is decoded image by image.
                    parts[topic] = reader(content) if reader and topic == image_topic else content
                    if len(parts) == len(topics):
                        del held[stamp]
                        if next(count) % every == 0:
                            yield self._frame(stamp, parts, decoded=reader is not None)
                while len(held) > _MOST_HELD:
                    del held[next(iter(held))]

    def _frame(self, stamp: int, parts: dict[str, Any], decoded: bool) -> TruthFrame:
        """Return the frame of messages by topic. decoded: whether that of the image is an image already."""
        image = parts[self._camera.image]
        if not decoded:
            image = image_from_message(image)
        values = values_from_image(parts[self._label]).astype(np.int64)
        label = numbers(values, self._numbers)
        objects = None
        if self._instance:
            objects = tuple(_objects(values_from_image(parts[self._instance]), label))
        return TruthFrame(f"{self._camera.name} {stamp * 1e-9:.3f}", image, label, objects)


def _objects(instances: NDArray[Any], label: NDArray[np.uint16]) -> Iterator[TruthObject]:
    """Yield an object for each instance number but 0, of the class that most of its pixels have."""
    for instance in np.unique(instances[instances > 0]):
        mask = instances == instance
        if number := int(np.bincount(label[mask]).argmax()):
            yield TruthObject(number, mask)


def _only_label(bag: Bag) -> str:
    topics = sorted(
        name
        for name, topic in bag.topics.items()
        if name.endswith("/label") and topic.message_type == _IMAGE
    )
    if len(topics) != 1:
        offer = f"it has {', '.join(topics)}: name one" if topics else "name the topic, or label it"
        raise EvaluationError(
            f"the recording {bag.folder} has not exactly one topic of label images, X/label; {offer} "
            "(--label-topic)"
        )
    return topics[0]


def _camera_of(bag: Bag, label_topic: str, name: str) -> BagCamera:
    """Return the camera of this name or, without one, the camera that occurs in the topic, or the only one."""
    cameras: Sequence[BagCamera] = find_cameras(bag, [name] if name else ())
    inside = [c for c in cameras if c.name in label_topic.split("/")]
    chosen = inside if len(inside) == 1 else list(cameras)
    if len(chosen) != 1:
        raise EvaluationError(
            f"the recording {bag.folder} has the cameras {', '.join(c.name for c in cameras)}: name the one that "
            f"{label_topic} belongs to (--camera)"
        )
    return chosen[0]


def _names(bag: Bag, label_topic: str) -> dict[int, str]:
    """Return the names of ids, of the last message that has them."""
    info = f"{label_topic}_info"
    topics = [t.name for t in bag.topics.values() if t.message_type == VOCABULARY]
    if info in bag.topics and bag.topics[info].message_type == _LABEL_INFO:
        topics = [info]
    names: dict[int, str] = {}
    for message in bag.messages(topics) if topics else ():
        content = message.content
        if message.topic.message_type == _LABEL_INFO:
            names = {int(c.class_id): str(c.class_name) for c in content.class_map}
        else:
            names = {int(i): str(c.name) for i, c in zip(content.ids, content.classes, strict=True)}
    names.pop(0, None)
    if not names:
        raise EvaluationError(
            f"the recording {bag.folder} has no names for the ids on {label_topic}: record {info} or ~/vocabulary, too"
        )
    return names
