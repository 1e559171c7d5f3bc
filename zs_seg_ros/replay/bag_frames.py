"""The frames of a recording one by one, each with the depth that belongs to it."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from zs_seg_ros.bags.bag import RecordedMessage, Recording
from zs_seg_ros.bags.bag_cameras import RecordedCamera
from zs_seg_ros.images.depth_pairing import TOLERANCE_NS

_LOOK_AHEAD_NS = 200_000_000
"""Depth may be recorded later than its picture by as much; pictures of that time are held in memory."""
_DEPTHS_KEPT = 16


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
        if nearest is None or abs(nearest[0] - stamp_ns) > TOLERANCE_NS:
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
