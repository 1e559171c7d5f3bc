# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The cameras of a bag: the topics of their images, depth images and camera_info."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.errors import BagError
from zs_seg_ros.images.camera_topics import depth_topic, image_topic, info_topic
from zs_seg_ros.shown import quoted

_IMAGE, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_TRANSPORTS = (("raw", _IMAGE), ("compressed", _COMPRESSED))  # raw is preferred
_INFO = "sensor_msgs/msg/CameraInfo"
_COMMON_WORDS = ("image_raw", "image", "compressed", "compressedDepth")
_LONGEST_NAME = 200
"""Of file names, most systems allow 255 bytes, and topics of ROS have the same limit."""
_DEPTH_ENCODINGS = ("16UC1", "32FC1")


@dataclass(frozen=True)
class BagCamera:
    """The topics of one camera in a bag. depth, info: empty without depth images.

    compressed: whether the images are of the type CompressedImage although their topic's name does not end so.
    """

    name: str
    image: str
    depth: str = ""
    info: str = ""
    compressed: bool = False

    @property
    def transport(self) -> str:
        """The transport of the images: raw or compressed."""
        return "compressed" if self.compressed or self.image.endswith("/compressed") else "raw"

    @property
    def depth_transport(self) -> str:
        """The transport of the depth images: raw or compressed; raw without depth."""
        return "compressed" if self.depth.endswith("/compressedDepth") else "raw"

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics that the camera has: of images, and of depth and camera info where it has them."""
        return tuple(topic for topic in (self.image, self.depth, self.info) if topic)


def find_cameras(bag: Bag, names: Collection[str] = ()) -> tuple[BagCamera, ...]:
    """Return the cameras of these names, or all cameras of the bag ordered by name.

    A name may come with its topics: "NAME=TOPIC" or "NAME=TOPIC,DEPTH,INFO". Raises BagError, with the bag's topics,
    when a camera is missing or there is none at all.
    """
    cameras = {name: camera for name in _candidates(bag) if (camera := _camera(bag, name))}
    given = [_given_camera(bag, name) for name in names if "=" in name]
    cameras |= {camera.name: camera for camera in given}
    plain = (name.partition("=")[0].strip("/") for name in names)
    requested = list(dict.fromkeys(plain)) or sorted(cameras)
    for name in requested:
        if name not in cameras:
            raise BagError(
                f"the recording {bag.folder} has no camera {quoted(name)}: no images on "
                f"{image_topic(name, 'raw')} or {image_topic(name, 'compressed')}; "
                f"{_offer(bag)}it has {list_topics(bag)}"
            )
    if not cameras:
        raise BagError(
            f"the recording {bag.folder} has no camera: no images on a topic {image_topic('CAM', 'raw')} or "
            f"{image_topic('CAM', 'compressed')}; {_offer(bag)}it has {list_topics(bag)}"
        )
    return tuple(cameras[name] for name in requested)


def _given_camera(bag: Bag, text: str) -> BagCamera:
    """Return the camera of "NAME=TOPIC[,DEPTH,INFO]". Raises BagError for a topic that the bag lacks."""
    name, _, listed = text.partition("=")
    topics = [topic.strip() for topic in listed.split(",")]
    if len(topics) not in (1, 3) or not (name.strip("/") and all(topics)):
        raise BagError(
            f"the camera {quoted(text)} is not of the form NAME=TOPIC or NAME=TOPIC,DEPTH,INFO"
        )
    bag.require(topics)
    image, depth, info = (*topics, "", "")[:3]
    for topic, types in (
        (image, (_IMAGE, _COMPRESSED)),
        (depth, (_IMAGE, _COMPRESSED)),
        (info, (_INFO,)),
    ):
        if topic and bag.topics[topic].message_type not in types:
            raise BagError(
                f"the topic {topic} of the camera {quoted(text)} has the type {bag.topics[topic].message_type}, not "
                f"{' or '.join(types)}"
            )
    if not _is_name(name.strip("/")):
        raise BagError(
            f"the camera {quoted(text)} cannot be named so: write a printable name of at most {_LONGEST_NAME} "
            "characters, without . and .. between slashes"
        )
    is_compressed = bag.topics[image].message_type == _COMPRESSED
    return BagCamera(name.strip("/"), image, depth, info, is_compressed)


def _offer(bag: Bag) -> str:
    """Return the options that name each image topic of the bag, as a part of a sentence."""
    options = []
    for topic in bag.topics.values():
        is_image = topic.message_type in (_IMAGE, _COMPRESSED) and topic.message_count
        if is_image and not _holds_depth(bag, topic.name):
            words = [w for w in topic.name.split("/") if w and w not in _COMMON_WORDS]
            options.append(f"--camera {'_'.join(words) or 'camera'}={topic.name}")
    return f"name one with {', or '.join(options)}; " if options else ""


def require_camera(bag: Bag, name: str, transport: str, depth_transport: str | None) -> BagCamera:
    """Return a camera with the transports that a node subscribes to. depth_transport: None without depth.

    Raises BagError with the topic that is missing.
    """
    image = image_topic(name, transport)
    depth = "" if depth_transport is None else depth_topic(name, depth_transport)
    camera = BagCamera(name, image, depth, info_topic(name) if depth else "")
    for topic in camera.topics:
        if topic not in bag.topics:
            raise BagError(
                f"the node subscribes to {topic}, which the recording {bag.folder} does not have; it has "
                f"{list_topics(bag)}"
            )
    return camera


def list_topics(bag: Bag) -> str:
    """Return the bag's topics with their types, as a part of a sentence."""
    topics = bag.topics.values()
    return ", ".join(f"{t.name} ({t.message_type})" for t in topics) or "no topics"


def _candidates(bag: Bag) -> list[str]:
    names = set()
    for topic in bag.topics:
        name, separator, rest = topic.removeprefix("/").rpartition("/image_raw")
        if separator and rest in ("", "/compressed") and _is_name(name):
            names.add(name)
    return sorted(names)


def _is_name(name: str) -> bool:
    """Return whether a camera may have a name, which becomes a part of topics and of paths below the result."""
    return (
        len(name) <= _LONGEST_NAME
        and name.isprintable()
        and all(part not in ("", ".", "..") for part in name.split("/"))
    )


def _camera(bag: Bag, name: str) -> BagCamera | None:
    """Return the camera of this name; None when it has no images, or depth images only."""
    topics = bag.topics

    def has_messages(topic: str, message_type: str) -> bool:
        return (
            topic in topics
            and topics[topic].message_type == message_type
            and topics[topic].encoding == "cdr"
            and topics[topic].message_count > 0
        )

    images = [
        t for kind, of_type in _TRANSPORTS if has_messages(t := image_topic(name, kind), of_type)
    ]
    if not images:
        return None
    bag.types.store(topics[images[0]].message_type, images[0])  # raises where it cannot be read
    if _holds_depth(bag, images[0]):
        return None
    depths = [
        t for kind, of_type in _TRANSPORTS if has_messages(t := depth_topic(name, kind), of_type)
    ]
    info = info_topic(name)
    if depths and has_messages(info, _INFO):
        return BagCamera(name, images[0], depths[0], info)
    return BagCamera(name, images[0])


def _holds_depth(bag: Bag, topic: str) -> bool:
    """Return whether the first message is a depth image; False where it cannot be read."""
    kind_of_message = bag.topics[topic].message_type
    try:
        message = next(iter(bag.messages([topic])), None)
        if message is None:  # all of them are in damaged chunks
            return False
        first = message.content
    except BagError:
        return False
    compressed = kind_of_message == _COMPRESSED
    kind: str = first.format if compressed else first.encoding
    return kind.startswith(_DEPTH_ENCODINGS)
