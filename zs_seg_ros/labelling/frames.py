# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Reads the frames of a slice, built from messages as the node builds them once it has received depth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from zs_seg_ros.bags.bag import Bag, BagMessage
from zs_seg_ros.errors import BagError, ImageError
from zs_seg_ros.images.camera_info import intrinsics_from_info
from zs_seg_ros.images.compressed_images import CompressedImageReader, depth_from_compressed
from zs_seg_ros.images.depth_pairing import TOLERANCE_NS, DepthPairing
from zs_seg_ros.images.message_images import (
    depth_from_image,
    image_from_message,
    stamp_ns,
)
from zs_seg_ros.images.video import video_codec
from zs_seg_ros.labelling.plan import LabelledCamera, Slice
from zs_seg_ros.requested_outputs import RequestedOutputs
from zs_seg_ros.types import DepthImage, Frame, Intrinsics

_MARGIN_NS = 1_000_000_000
"""Depth and camera_info are also read this long before a slice and after it."""


def read_frames(
    bag: Bag, cameras: Sequence[LabelledCamera], part: Slice, problems: Counter[str]
) -> Iterator[Frame]:
    """Yield the frames of the images in a slice; their received_ns is the time of recording.

    Messages that cannot be read are left out and counted in `problems`, by the text of the error, and so are damaged
    chunks. Raises BagError for a bag that is damaged otherwise.
    """
    known_damage = bag.warnings
    readers: dict[str, _CameraReader] = {}
    margin_ns = 0
    for camera in cameras:
        reader = _CameraReader(camera, problems)
        readers.update(dict.fromkeys(camera.topics, reader))
        if camera.info:
            margin_ns = _MARGIN_NS
            reader.start_with(bag.messages([camera.info]))
        if part.start_ns is not None:
            reader.read_video_before(bag, part.start_ns)
    start_ns = None if part.start_ns is None else part.start_ns - margin_ns
    stop_ns = None if part.stop_ns is None else part.stop_ns + margin_ns
    for message in bag.messages(readers, start_ns, stop_ns):
        yield from readers[message.topic.name].read(message, part.holds(message.time_ns))
    for reader in dict.fromkeys(readers.values()):
        yield from reader.end()
    problems.update(warning for warning in bag.warnings if warning not in known_damage)


class _CameraReader:
    """Reads the messages of one camera in the order of their recording."""

    def __init__(self, camera: LabelledCamera, problems: Counter[str]) -> None:
        self._camera = camera
        self._problems = problems
        self._compressed = CompressedImageReader()
        self._pairing = DepthPairing(TOLERANCE_NS, expected=True) if camera.depth else None
        self._intrinsics: Intrinsics | None = None
        self._requested = RequestedOutputs(objects=True, surfaces=bool(camera.depth))

    def start_with(self, infos: Iterator[BagMessage]) -> None:
        """Use the bag's first camera_info until the next one."""
        for message in infos:
            self.read(message, inside=False)
            return

    def read_video_before(self, bag: Bag, start_ns: int) -> None:
        """Decode the packets of a video from the last keyframe before a slice on: its first images need them."""
        if self._camera.transport != "compressed" or not self._is_video(bag, start_ns):
            return
        before_ns = _MARGIN_NS
        while True:
            self._compressed.skip()
            images = 0
            for message in bag.messages([self._camera.image], start_ns - before_ns, start_ns):
                with suppress(ImageError, BagError):  # counted in the slice that has the message
                    self._compressed(message.content)
                    images += 1
            if images or start_ns - before_ns <= bag.start_ns:
                return
            before_ns *= 2

    def _is_video(self, bag: Bag, start_ns: int) -> bool:
        with suppress(BagError):
            for message in bag.messages([self._camera.image], start_ns):
                return video_codec(message.content.format) is not None
        return False

    def read(self, message: BagMessage, inside: bool) -> list[Frame]:
        """Return the frames that are complete now. inside: whether the message is in the slice itself."""
        camera, topic = self._camera, message.topic.name
        try:
            if topic == camera.image:
                return self._image(message) if inside else self.end()
            if topic == camera.info:
                self._intrinsics = None
                self._intrinsics = intrinsics_from_info(message.content)
                return []
            return self._depth(message)
        except (ImageError, BagError) as error:
            self._problems[f"{topic}: {error}"] += 1
            return []

    def end(self) -> list[Frame]:
        """Return the frame that waits for its depth, if there is one."""
        return [] if self._pairing is None else self._pairing.end()

    def _image(self, message: BagMessage) -> list[Frame]:
        content = message.content
        compressed = self._camera.transport == "compressed"
        frame = Frame(
            self._camera.name,
            self._compressed(content) if compressed else image_from_message(content),
            stamp_ns(content.header.stamp),
            content.header.frame_id,
            received_ns=message.time_ns,
            requested=self._requested,
        )
        return [frame] if self._pairing is None else self._pairing.add_frame(frame)

    def _depth(self, message: BagMessage) -> list[Frame]:
        if self._intrinsics is None or self._pairing is None:
            return []
        content: Any = message.content
        compressed = self._camera.depth_transport == "compressed"
        values = depth_from_compressed(content) if compressed else depth_from_image(content)
        stamp = stamp_ns(content.header.stamp)
        return self._pairing.add_depth(DepthImage(values, self._intrinsics, stamp))
