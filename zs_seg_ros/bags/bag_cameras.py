"""The cameras of a recording: which topics hold their pictures, depth images and calibration."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from zs_seg_ros.bags.bag import Recording
from zs_seg_ros.errors import RecordingError
from zs_seg_ros.images.camera_topics import depth_topic, image_topic, info_topic

_IMAGE, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_TRANSPORTS = (("raw", _IMAGE), ("compressed", _COMPRESSED))  # as the node listens: raw, if there
_INFO = "sensor_msgs/msg/CameraInfo"
_DEPTH_ENCODINGS = ("16UC1", "32FC1")


@dataclass(frozen=True)
class RecordedCamera:
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


def find_cameras(recording: Recording, names: Collection[str] = ()) -> tuple[RecordedCamera, ...]:
    """The cameras of these names, or all of the recording, in the order of their names.

    Raises RecordingError, with what the recording has, when one is not there or none is.
    """
    found = {
        name: camera for name in _candidates(recording) if (camera := _camera(recording, name))
    }
    wanted = list(dict.fromkeys(name.strip("/") for name in names)) or sorted(found)
    for name in wanted:
        if name not in found:
            raise RecordingError(
                f"the recording {recording.folder} has no camera {name!r}: no pictures on "
                f"{image_topic(name, 'raw')} or {image_topic(name, 'compressed')}; it has {listed(recording)}"
            )
    if not found:
        raise RecordingError(
            f"the recording {recording.folder} has no camera: no pictures on a topic {image_topic('CAM', 'raw')} or "
            f"{image_topic('CAM', 'compressed')}; it has {listed(recording)}"
        )
    return tuple(found[name] for name in wanted)


def named_camera(
    recording: Recording, name: str, transport: str, depth_transport: str | None
) -> RecordedCamera:
    """The camera as a node listens to it. depth_transport: None when it wants no depth.

    Raises RecordingError with the topic that is missing.
    """
    image = image_topic(name, transport)
    depth = "" if depth_transport is None else depth_topic(name, depth_transport)
    camera = RecordedCamera(name, image, depth, info_topic(name) if depth else "")
    for topic in camera.topics:
        if topic not in recording.topics:
            raise RecordingError(
                f"the node listens to {topic}, which the recording {recording.folder} does not have; it has "
                f"{listed(recording)}"
            )
    return camera


def listed(recording: Recording) -> str:
    """The recording's topics, for a sentence."""
    topics = recording.topics.values()
    return ", ".join(f"{t.name} ({t.message_type})" for t in topics) or "no topics"


def _candidates(recording: Recording) -> list[str]:
    names = set()
    for topic in recording.topics:
        name, found, rest = topic.removeprefix("/").rpartition("/image_raw")
        if found and rest in ("", "/compressed"):
            names.add(name)
    return sorted(names)


def _camera(recording: Recording, name: str) -> RecordedCamera | None:
    """None where these are no pictures."""
    topics = recording.topics

    def there(topic: str, message_type: str) -> bool:
        return (
            topic in topics
            and topics[topic].message_type == message_type
            and topics[topic].message_count > 0
        )

    images = [t for kind, of_type in _TRANSPORTS if there(t := image_topic(name, kind), of_type)]
    if not images or _holds_depth(recording, images[0]):
        return None
    depths = [t for kind, of_type in _TRANSPORTS if there(t := depth_topic(name, kind), of_type)]
    info = info_topic(name)
    if depths and there(info, _INFO):
        return RecordedCamera(name, images[0], depths[0], info)
    return RecordedCamera(name, images[0])


def _holds_depth(recording: Recording, topic: str) -> bool:
    first = next(iter(recording.messages([topic]))).content
    compressed = recording.topics[topic].message_type == _COMPRESSED
    kind: str = first.format if compressed else first.encoding
    return kind.startswith(_DEPTH_ENCODINGS)
