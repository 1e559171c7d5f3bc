"""The cameras of a recording: which topics hold their images, depth images and calibration."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.errors import BagError
from zs_seg_ros.images.camera_topics import depth_topic, image_topic, info_topic

_IMAGE, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_TRANSPORTS = (("raw", _IMAGE), ("compressed", _COMPRESSED))  # as the node listens: raw, if there
_INFO = "sensor_msgs/msg/CameraInfo"
_DEPTH_ENCODINGS = ("16UC1", "32FC1")


@dataclass(frozen=True)
class BagCamera:
    """Topics of one camera in a recording; depth and info are empty where there is none."""

    name: str
    image: str
    depth: str = ""
    info: str = ""

    @property
    def transport(self) -> str:
        """raw or compressed."""
        return "compressed" if self.image.endswith("/compressed") else "raw"

    @property
    def depth_transport(self) -> str:
        """raw or compressed; raw without depth."""
        return "compressed" if self.depth.endswith("/compressedDepth") else "raw"

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(topic for topic in (self.image, self.depth, self.info) if topic)


def find_cameras(bag: Bag, names: Collection[str] = ()) -> tuple[BagCamera, ...]:
    """The cameras of these names, or all of the recording, in the order of their names.

    Raises BagError, with what the recording has, when one is not there or none is.
    """
    found = {name: camera for name in _candidates(bag) if (camera := _camera(bag, name))}
    requested = list(dict.fromkeys(name.strip("/") for name in names)) or sorted(found)
    for name in requested:
        if name not in found:
            raise BagError(
                f"the recording {bag.folder} has no camera {name!r}: no images on "
                f"{image_topic(name, 'raw')} or {image_topic(name, 'compressed')}; it has {listed(bag)}"
            )
    if not found:
        raise BagError(
            f"the recording {bag.folder} has no camera: no images on a topic {image_topic('CAM', 'raw')} or "
            f"{image_topic('CAM', 'compressed')}; it has {listed(bag)}"
        )
    return tuple(found[name] for name in requested)


def named_camera(bag: Bag, name: str, transport: str, depth_transport: str | None) -> BagCamera:
    """The camera as a node listens to it. depth_transport: None when it wants no depth.

    Raises BagError with the topic that is missing.
    """
    image = image_topic(name, transport)
    depth = "" if depth_transport is None else depth_topic(name, depth_transport)
    camera = BagCamera(name, image, depth, info_topic(name) if depth else "")
    for topic in camera.topics:
        if topic not in bag.topics:
            raise BagError(
                f"the node listens to {topic}, which the recording {bag.folder} does not have; it has "
                f"{listed(bag)}"
            )
    return camera


def listed(bag: Bag) -> str:
    """The recording's topics, for a sentence."""
    topics = bag.topics.values()
    return ", ".join(f"{t.name} ({t.message_type})" for t in topics) or "no topics"


def _candidates(bag: Bag) -> list[str]:
    names = set()
    for topic in bag.topics:
        name, found, rest = topic.removeprefix("/").rpartition("/image_raw")
        if found and rest in ("", "/compressed"):
            names.add(name)
    return sorted(names)


def _camera(bag: Bag, name: str) -> BagCamera | None:
    """None where these are no images."""
    topics = bag.topics

    def there(topic: str, message_type: str) -> bool:
        return (
            topic in topics
            and topics[topic].message_type == message_type
            and topics[topic].message_count > 0
        )

    images = [t for kind, of_type in _TRANSPORTS if there(t := image_topic(name, kind), of_type)]
    if not images or _holds_depth(bag, images[0]):
        return None
    depths = [t for kind, of_type in _TRANSPORTS if there(t := depth_topic(name, kind), of_type)]
    info = info_topic(name)
    if depths and there(info, _INFO):
        return BagCamera(name, images[0], depths[0], info)
    return BagCamera(name, images[0])


def _holds_depth(bag: Bag, topic: str) -> bool:
    first = next(iter(bag.messages([topic]))).content
    compressed = bag.topics[topic].message_type == _COMPRESSED
    kind: str = first.format if compressed else first.encoding
    return kind.startswith(_DEPTH_ENCODINGS)
