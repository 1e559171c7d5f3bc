"""The frames of a recording one by one, each with the depth that belongs to it."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from zs_seg_ros.bags.bag import Bag, BagMessage
from zs_seg_ros.bags.bag_cameras import BagCamera
from zs_seg_ros.images.depth_pairing import TOLERANCE_NS

_LOOK_AHEAD_NS = 200_000_000
"""Depth may be recorded later than its image by as much; images of that time are held in memory."""
_DEPTHS_KEPT = 16


@dataclass(frozen=True, eq=False)
class BagFrame:
    """One image of one camera. index counts the camera's images in the recording from 0.

    info, depth: the last camera_info, and the depth image that is nearest by its stamp; None without.
    """

    camera: BagCamera
    index: int
    stamp_ns: int
    image: BagMessage
    info: BagMessage | None = None
    depth: BagMessage | None = None


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
    """An image that may have to wait for its depth."""

    camera: BagCamera
    index: int
    stamp_ns: int
    image: BagMessage


@dataclass(eq=False)
class _Side:
    """What came of one camera lately."""

    images: int = 0
    info: BagMessage | None = None
    depths: deque[tuple[int, BagMessage]] = field(
        default_factory=lambda: deque(maxlen=_DEPTHS_KEPT)
    )

    def nearest_depth(self, stamp_ns: int) -> BagMessage | None:
        nearest = min(self.depths, key=lambda depth: abs(depth[0] - stamp_ns), default=None)
        if nearest is None or abs(nearest[0] - stamp_ns) > TOLERANCE_NS:
            return None
        return nearest[1]


def frames(bag: Bag, cameras: Collection[BagCamera], every: int = 1) -> Iterator[BagFrame]:
    """The images of these cameras in the order in which they were recorded; of each every N-th one.

    One pass; held in memory is what was recorded in _LOOK_AHEAD_NS. Raises BagError for a damaged file.
    """
    of_topic = {topic: camera for camera in cameras for topic in camera.topics}
    sides = {camera.name: _Side() for camera in cameras}
    waiting: deque[_Waiting] = deque()
    for message in bag.messages(of_topic):
        topic = message.topic.name
        camera = of_topic[topic]
        side = sides[camera.name]
        if topic == camera.info:
            side.info = message
        elif topic == camera.depth:
            side.depths.append((stamp_of(message.serialised), message))
        else:
            index, side.images = side.images, side.images + 1
            if index % every == 0:
                waiting.append(_Waiting(camera, index, stamp_of(message.serialised), message))
        while waiting and _is_complete(waiting[0], sides, message.time_ns):
            yield _complete(waiting.popleft(), sides)
    while waiting:
        yield _complete(waiting.popleft(), sides)


def _is_complete(image: _Waiting, sides: dict[str, _Side], now_ns: int) -> bool:
    """No later depth image can be nearer, or it has been waited for long enough."""
    if not image.camera.depth or now_ns - image.image.time_ns > _LOOK_AHEAD_NS:
        return True
    side = sides[image.camera.name]
    return side.info is not None and any(stamp >= image.stamp_ns for stamp, _ in side.depths)


def _complete(image: _Waiting, sides: dict[str, _Side]) -> BagFrame:
    side = sides[image.camera.name]
    depth = side.nearest_depth(image.stamp_ns)
    return BagFrame(image.camera, image.index, image.stamp_ns, image.image, side.info, depth)
