# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The frames of a recording in order, each with its depth image and camera_info."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from zs_seg_ros.bags.bag import Bag, BagMessage
from zs_seg_ros.bags.bag_cameras import BagCamera
from zs_seg_ros.images.depth_pairing import TOLERANCE_NS
from zs_seg_ros.replay.results import WHOLE, Span

_LOOK_AHEAD_NS = 200_000_000
"""Depth may be recorded this much later than its image; the images of this time are held in memory."""
_DEPTHS_KEPT = 16


@dataclass(frozen=True, eq=False)
class BagFrame:
    """One image of one camera. index counts the camera's images in the recording from 0.

    info, depth: the latest camera_info, and the depth image with the nearest stamp; None where there is none.
    """

    camera: BagCamera
    index: int
    stamp_ns: int
    image: BagMessage
    info: BagMessage | None = None
    depth: BagMessage | None = None


def stamp_of(serialised: bytes) -> int:
    """Return the stamp, in ns, of a serialised message that starts with a header."""
    order = "<" if serialised[1] & 1 else ">"
    seconds, nanoseconds = struct.unpack_from(f"{order}iI", serialised, 4)
    return int(seconds) * 10**9 + int(nanoseconds)


def with_stamp(serialised: bytes, stamp_ns: int) -> bytes:
    """Return the serialised message with another stamp in its header."""
    order = "<" if serialised[1] & 1 else ">"
    seconds, nanoseconds = divmod(stamp_ns, 10**9)
    return serialised[:4] + struct.pack(f"{order}iI", seconds, nanoseconds) + serialised[12:]


@dataclass(eq=False)
class _PendingImage:
    """An image whose depth image may not have been read yet."""

    camera: BagCamera
    index: int
    stamp_ns: int
    image: BagMessage


@dataclass(eq=False)
class _CameraState:
    """The latest messages of one camera. images: how many have been read."""

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


def frames(
    bag: Bag, cameras: Collection[BagCamera], every: int = 1, span: Span = WHOLE
) -> Iterator[BagFrame]:
    """Yield the images of these cameras in the order of recording, every N-th one of each camera in a span.

    Reads the bag once; holds in memory what was recorded in _LOOK_AHEAD_NS. Raises BagError for a damaged file.
    """
    camera_of = {topic: camera for camera in cameras for topic in camera.topics}
    states = {camera.name: _CameraState() for camera in cameras}
    pending: deque[_PendingImage] = deque()
    for message in bag.messages(camera_of):
        topic = message.topic.name
        camera = camera_of[topic]
        state = states[camera.name]
        if topic == camera.info:
            state.info = message
        elif topic == camera.depth:
            state.depths.append((stamp_of(message.serialised), message))
        else:
            index, state.images = state.images, state.images + 1
            if index % every == 0 and span.holds(index):
                pending.append(_PendingImage(camera, index, stamp_of(message.serialised), message))
        while pending and _is_complete(pending[0], states, message.time_ns):
            yield _frame(pending.popleft(), states)
        if not pending and all(span.is_past(state.images) for state in states.values()):
            return
    while pending:
        yield _frame(pending.popleft(), states)


def _is_complete(image: _PendingImage, states: dict[str, _CameraState], now_ns: int) -> bool:
    """Return whether no later depth image can be nearer, or none has been read for the time of _LOOK_AHEAD_NS."""
    if not image.camera.depth or now_ns - image.image.time_ns > _LOOK_AHEAD_NS:
        return True
    state = states[image.camera.name]
    return state.info is not None and any(stamp >= image.stamp_ns for stamp, _ in state.depths)


def _frame(image: _PendingImage, states: dict[str, _CameraState]) -> BagFrame:
    state = states[image.camera.name]
    depth = state.nearest_depth(image.stamp_ns)
    return BagFrame(image.camera, image.index, image.stamp_ns, image.image, state.info, depth)
