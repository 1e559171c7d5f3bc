"""The cameras of a recording, and their frames one by one, each with the depth that belongs to it."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from zs_seg_ros.errors import RecordingError
from zs_seg_ros.recording import RecordedMessage, Recording

_IMAGE, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_DEPTH_ENCODINGS = ("16UC1", "32FC1")
DEPTH_TOLERANCE_NS = 20_000_000
"""As segmentation_node pairs a picture with depth."""
_LOOK_AHEAD_NS = 200_000_000
"""Depth may be recorded later than its picture by as much; pictures of that time are held in memory."""
_DEPTHS_KEPT = 16


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


@dataclass(frozen=True, eq=False)
class RecordedFrame:
    """One picture of one camera. index counts the camera's pictures in the recording from 0.

    info, depth: the last camera_info, and the depth image that is nearest by its stamp; None without.
    """

    camera: RecordedCamera
    index: int
    stamp_ns: int
    image: RecordedMessage
    info: RecordedMessage | None = None
    depth: RecordedMessage | None = None


def topic_of_images(camera: str, transport: str) -> str:
    return f"/{camera}/image_raw" + ("/compressed" if transport == "compressed" else "")


def topic_of_depth(camera: str, transport: str) -> str:
    suffix = "/compressedDepth" if transport == "compressed" else ""
    return f"/{camera}/depth/image_raw{suffix}"


def topic_of_info(camera: str) -> str:
    return f"/{camera}/camera_info"


def find_cameras(recording: Recording, names: Collection[str] = ()) -> tuple[RecordedCamera, ...]:
    """The cameras of these names, or all of the recording, in the order of their names.

    Raises RecordingError, with what the recording has, when one is not there or none is.
    """
    found = {
        name: camera for name in _candidates(recording) if (camera := _camera(recording, name))
    }
    for name in names:
        if name not in found:
            raise RecordingError(
                f"the recording {recording.folder} has no camera {name!r}: neither "
                f"{topic_of_images(name, 'raw')} nor {topic_of_images(name, 'compressed')}; it has "
                f"{_listed(recording)}"
            )
    if not found:
        raise RecordingError(
            f"the recording {recording.folder} has no camera: no topic /CAM/image_raw or "
            f"/CAM/image_raw/compressed with pictures; it has {_listed(recording)}"
        )
    return tuple(found[name] for name in (names or sorted(found)))


def named_camera(
    recording: Recording, name: str, transport: str, depth_transport: str | None
) -> RecordedCamera:
    """The camera as a node listens to it. depth_transport: None when it wants no depth.

    Raises RecordingError with the topic that is missing.
    """
    image = topic_of_images(name, transport)
    depth = "" if depth_transport is None else topic_of_depth(name, depth_transport)
    camera = RecordedCamera(name, image, depth, topic_of_info(name) if depth else "")
    for topic in camera.topics:
        if topic not in recording.topics:
            raise RecordingError(
                f"the node listens to {topic}, which the recording {recording.folder} does not have; it has "
                f"{_listed(recording)}"
            )
    return camera


def _candidates(recording: Recording) -> list[str]:
    names = set()
    for topic in recording.topics:
        name, found, rest = topic.removeprefix("/").rpartition("/image_raw")
        if found and rest in ("", "/compressed"):
            names.add(name)
    return sorted(names)


def _camera(recording: Recording, name: str) -> RecordedCamera | None:
    """None where these are no pictures; raw topics go before compressed ones."""
    topics = recording.topics

    def there(topic: str, message_type: str) -> bool:
        return (
            topic in topics
            and topics[topic].message_type == message_type
            and topics[topic].message_count > 0
        )

    raw, compressed = (topic_of_images(name, kind) for kind in ("raw", "compressed"))
    if there(raw, _IMAGE):
        image = raw
        first = next(iter(recording.messages([raw])))
        if first.content.encoding in _DEPTH_ENCODINGS:
            return None
    elif there(compressed, _COMPRESSED):
        image = compressed
    else:
        return None
    info = topic_of_info(name)
    if there(info, "sensor_msgs/msg/CameraInfo"):
        for transport, message_type in (("raw", _IMAGE), ("compressed", _COMPRESSED)):
            depth = topic_of_depth(name, transport)
            if there(depth, message_type):
                return RecordedCamera(name, image, depth, info)
    return RecordedCamera(name, image)


def _listed(recording: Recording) -> str:
    return ", ".join(recording.topics) or "no topics"


def stamp_of(serialised: bytes) -> int:
    """Nanoseconds of the stamp in the header that a serialised message starts with."""
    order = "<" if serialised[1] & 1 else ">"
    seconds, nanoseconds = struct.unpack_from(f"{order}iI", serialised, 4)
    return int(seconds) * 10**9 + int(nanoseconds)


def with_stamp(serialised: bytes, stamp_ns: int) -> bytes:
    """The same message with another stamp in its header."""
    order = "<" if serialised[1] & 1 else ">"
    seconds, nanoseconds = divmod(stamp_ns, 10**9)
    return serialised[:4] + struct.pack(f"{order}iI", seconds, nanoseconds) + serialised[12:]


@dataclass(eq=False)
class _Waiting:
    """A picture that may have to wait for its depth."""

    camera: RecordedCamera
    index: int
    stamp_ns: int
    image: RecordedMessage


@dataclass(eq=False)
class _Side:
    """What came of one camera lately."""

    pictures: int = 0
    info: RecordedMessage | None = None
    depths: deque[tuple[int, RecordedMessage]] = field(
        default_factory=lambda: deque(maxlen=_DEPTHS_KEPT)
    )

    def nearest_depth(self, stamp_ns: int) -> RecordedMessage | None:
        nearest = min(self.depths, key=lambda depth: abs(depth[0] - stamp_ns), default=None)
        if nearest is None or abs(nearest[0] - stamp_ns) > DEPTH_TOLERANCE_NS:
            return None
        return nearest[1]


def frames(
    recording: Recording, cameras: Collection[RecordedCamera], every: int = 1
) -> Iterator[RecordedFrame]:
    """The pictures of these cameras in the order in which they were recorded; of each every N-th one.

    One pass; held in memory is what was recorded in _LOOK_AHEAD_NS. Raises RecordingError for a damaged file.
    """
    of_topic = {topic: camera for camera in cameras for topic in camera.topics}
    sides = {camera.name: _Side() for camera in cameras}
    waiting: deque[_Waiting] = deque()
    for message in recording.messages(of_topic):
        topic = message.topic.name
        camera = of_topic[topic]
        side = sides[camera.name]
        if topic == camera.info:
            side.info = message
        elif topic == camera.depth:
            side.depths.append((stamp_of(message.serialised), message))
        else:
            index, side.pictures = side.pictures, side.pictures + 1
            if index % every == 0:
                waiting.append(_Waiting(camera, index, stamp_of(message.serialised), message))
        while waiting and _is_complete(waiting[0], sides, message.time_ns):
            yield _complete(waiting.popleft(), sides)
    while waiting:
        yield _complete(waiting.popleft(), sides)


def _is_complete(picture: _Waiting, sides: dict[str, _Side], now_ns: int) -> bool:
    """No later depth image can be nearer, or it has been waited for long enough."""
    if not picture.camera.depth or now_ns - picture.image.time_ns > _LOOK_AHEAD_NS:
        return True
    side = sides[picture.camera.name]
    return side.info is not None and any(stamp >= picture.stamp_ns for stamp, _ in side.depths)


def _complete(picture: _Waiting, sides: dict[str, _Side]) -> RecordedFrame:
    side = sides[picture.camera.name]
    depth = side.nearest_depth(picture.stamp_ns)
    return RecordedFrame(
        picture.camera, picture.index, picture.stamp_ns, picture.image, side.info, depth
    )
