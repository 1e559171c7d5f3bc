"""Ground truth from a recording with label images: one of zs-seg label, of a node's results, or of a simulator.

A topic X/label of mono8 or mono16 images goes with the images of the same stamp. The names of its ids are in a
vision_msgs/LabelInfo on X/label_info or, without one, in the recording's zs_seg_ros/Vocabulary. Instance numbers on a
topic X/instance, where there is one, separate the objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.bags.bag import Bag, BagMessage
from zs_seg_ros.bags.bag_cameras import BagCamera, find_cameras
from zs_seg_ros.errors import EvaluationError, ImageError
from zs_seg_ros.evaluation.class_id_images import numbers
from zs_seg_ros.evaluation.truth import Truth, TruthFrame, TruthObject
from zs_seg_ros.images.compressed_images import CompressedImageReader
from zs_seg_ros.images.message_images import image_from_message, stamp_ns
from zs_seg_ros.labelling.messages import VOCABULARY
from zs_seg_ros.shown import quoted, shown
from zs_seg_ros.types import RgbImage
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

    def frames(self) -> Iterator[TruthFrame]:
        topics = [t for t in (self._camera.image, self._label, self._instance) if t]
        reader = CompressedImageReader() if self._camera.transport == "compressed" else None
        held: dict[int, dict[str, Any]] = {}
        with Bag(self._folder) as bag:
            for message in bag.messages(topics):
                stamp = stamp_ns(message.content.header.stamp)
                parts = held.setdefault(stamp, {})
                try:
                    parts[message.topic.name] = self._pixels(message, reader)
                except ImageError as error:
                    raise EvaluationError(
                        f"an image on {message.topic.name} in {shown(str(self._folder), 300)} cannot be read: {error}"
                    ) from error
                if len(parts) == len(topics):
                    yield self._frame(stamp, held.pop(stamp))
                while len(held) > _MOST_HELD:
                    held.pop(next(iter(held)))

    def _pixels(self, message: BagMessage, reader: CompressedImageReader | None) -> Any:
        if message.topic.name != self._camera.image:
            return label_pixels(message.content)
        return reader(message.content) if reader else image_from_message(message.content)

    def _frame(self, stamp: int, parts: dict[str, Any]) -> TruthFrame:
        image: RgbImage = parts[self._camera.image]
        label = numbers(parts[self._label].astype(np.int64), self._numbers)
        objects = None
        if self._instance:
            objects = tuple(_objects(parts[self._instance], label))
        return TruthFrame(f"{self._camera.name} {stamp * 1e-9:.3f}", image, label, objects)


def label_pixels(message: Any) -> NDArray[Any]:
    """Return the values of a mono8 or mono16 message: (H, W). Raises ImageError for another one."""
    wide = np.dtype(">u2" if message.is_bigendian else "<u2")
    kinds: dict[str, np.dtype[Any]] = {"mono8": np.dtype("u1"), "8UC1": np.dtype("u1")}
    kinds |= {"mono16": wide, "16UC1": wide}
    kind = kinds.get(message.encoding)
    if kind is None:
        raise ImageError(f"its encoding is {quoted(message.encoding)}, not mono8 or mono16")
    row = message.width * kind.itemsize
    data = np.asarray(message.data, np.uint8)
    if message.step < row or data.size < message.step * message.height or not row:
        raise ImageError("its data has fewer bytes than its size needs")
    rows = data[: message.step * message.height].reshape(message.height, message.step)[:, :row]
    return np.ascontiguousarray(rows).view(kind).astype(np.uint16)


def _objects(instances: NDArray[Any], label: NDArray[np.uint16]) -> Iterator[TruthObject]:
    """Yield an object for each instance number but 0, of the class that most of its pixels have."""
    for instance in np.unique(instances):
        mask = (instances == instance) if instance else np.zeros_like(instances, np.bool_)
        counts = np.bincount(label[mask])
        if counts.size and (number := int(counts.argmax())):
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
