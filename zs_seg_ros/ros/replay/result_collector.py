# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Receives the label images and objects that the node under test publishes, and pairs them with their frames."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image

import zs_seg_ros.msg as messages
from zs_seg_ros.bags.bag_cameras import BagCamera
from zs_seg_ros.errors import ReplayError
from zs_seg_ros.images.message_images import stamp_ns
from zs_seg_ros.perception.masks import decode_runs
from zs_seg_ros.replay.bag_frames import BagFrame
from zs_seg_ros.replay.results import DIGITS, FrameResult, Identities, ObjectResult
from zs_seg_ros.ros.replay.node_under_test import DISCOVERY_TIMEOUT_S, REPLAY_QOS, NodeUnderTest
from zs_seg_ros.types import Box


@dataclass(eq=False)
class PendingResult:
    """Results of one frame, as far as they have been received. sent_s: when it was published (perf_counter)."""

    frame: BagFrame
    sent_s: float = field(default_factory=time.perf_counter)
    latency_ms: float = 0.0
    label: Image | None = None
    objects: messages.ObjectMaskArray | None = None

    @property
    def is_complete(self) -> bool:
        """Whether both the label image and the detections have been received."""
        return self.label is not None and self.objects is not None


@dataclass(frozen=True, eq=False)
class ReplayedFrame:
    """A published frame and its result; None if there was none. latency_ms: from publishing to the result."""

    frame: BagFrame
    result: FrameResult | None
    latency_ms: float = 0.0


class ResultCollector:
    """Subscribes to the results of some cameras. classes: the names that label images are numbered by, from 1.

    pending: frames that were published and have no complete results yet, by camera and stamp in ns.
    """

    def __init__(
        self,
        node: NodeUnderTest,
        cameras: Sequence[BagCamera],
        vocabulary: messages.Vocabulary,
        classes: Sequence[str],
    ) -> None:
        self._node = node
        self._vocabulary_version = vocabulary.version
        self._number_of_id = np.zeros(65536, np.uint16)
        for class_id, target in zip(vocabulary.ids, vocabulary.classes, strict=True):
            self._number_of_id[class_id] = list(classes).index(target.name) + 1
        self._identities = {camera.name: Identities() for camera in cameras}
        self.pending: dict[tuple[str, int], PendingResult] = {}
        self._subscriptions = [
            node.node.create_subscription(
                message_type,
                f"{node.name}/{camera.name}/{output}",
                partial(self._on_result, camera.name, output),
                REPLAY_QOS,
            )
            for camera in cameras
            for output, message_type in (("label", Image), ("objects", messages.ObjectMaskArray))
        ]

    def wait_for_publishers(self) -> None:
        """Wait until the node publishes every result topic. Raises ReplayError with the one that is missing."""
        for subscription in self._subscriptions:
            self._node.wait_for(
                f"{self._node.name} to publish {subscription.topic_name}",
                partial(_is_matched, subscription),
                DISCOVERY_TIMEOUT_S,
            )

    def expect(self, frame: BagFrame, frame_stamp_ns: int) -> PendingResult:
        """Collect results with this stamp from now on; call it just before publishing the frame."""
        pending = self.pending[frame.camera.name, frame_stamp_ns] = PendingResult(frame)
        return pending

    def take_settled(self) -> list[PendingResult]:
        """Remove frames that have results, and frames of the same camera before them: the node has dropped those."""
        newest_s = {p.frame.camera.name: p.sent_s for p in self.pending.values() if p.is_complete}
        settled = [
            key
            for key, pending in self.pending.items()
            if pending.sent_s <= newest_s.get(pending.frame.camera.name, -1.0)
        ]
        return [self.pending.pop(key) for key in settled]

    def replayed(self, pending: PendingResult) -> ReplayedFrame:
        """Convert what was received. Raises ReplayError when the vocabulary has changed meanwhile."""
        frame = pending.frame
        if pending.label is None or pending.objects is None:
            return ReplayedFrame(frame, None)
        if pending.objects.vocabulary_version != self._vocabulary_version:
            raise ReplayError(
                f"the vocabulary of {self._node.name} was changed during the replay; do not change it meanwhile"
            )
        label = self._number_of_id[_label_pixels(pending.label)]
        identities = self._identities[frame.camera.name]
        objects = tuple(
            _object_result(detected, identities) for detected in pending.objects.objects
        )
        result = FrameResult(frame.camera.name, frame.index, frame.stamp_ns, label, objects)
        return ReplayedFrame(frame, result, pending.latency_ms)

    def _on_result(self, camera: str, output: str, message: Any) -> None:
        pending = self.pending.get((camera, stamp_ns(message.header.stamp)))
        if pending is not None:
            setattr(pending, output, message)
            pending.latency_ms = (time.perf_counter() - pending.sent_s) * 1000


def _object_result(message: messages.ObjectMask, identities: Identities) -> ObjectResult:
    roi, position = message.roi, message.position
    return ObjectResult(
        message.class_name,
        round(float(message.score), DIGITS),
        Box(roi.x_offset, roi.y_offset, roi.width, roi.height),
        decode_runs(message.counts, roi.height, roi.width),
        identities.number(message.track_id),
        (
            round(position.x, DIGITS),
            round(position.y, DIGITS),
            round(position.z, DIGITS),
        )
        if message.has_position
        else None,
    )


def _label_pixels(message: Image) -> NDArray[Any]:
    """Return the class ids of a label image: (H, W) uint8 or uint16."""
    item = np.dtype("u1" if message.encoding == "mono8" else "<u2")
    return np.frombuffer(message.data, item).reshape(message.height, message.width)


def _is_matched(subscription: Any) -> bool:
    return bool(subscription.get_publisher_count())
