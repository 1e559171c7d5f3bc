"""Publishes a recording's frames to a node and takes in its results, in lockstep or in real time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

import zs_seg_ros.msg as messages
from zs_seg_ros.bags.bag import Bag, BagMessage
from zs_seg_ros.bags.bag_cameras import BagCamera
from zs_seg_ros.errors import ReplayError
from zs_seg_ros.images.compressed_images import image_from_compressed
from zs_seg_ros.images.depth_pairing import TOLERANCE_NS
from zs_seg_ros.images.message_images import image_from_message, stamp_ns
from zs_seg_ros.perception.masks import decode_runs
from zs_seg_ros.replay.bag_frames import BagFrame, stamp_of, with_stamp
from zs_seg_ros.replay.results import FoundObject, FrameResult, Identities
from zs_seg_ros.ros.conversions import image_message, time_message
from zs_seg_ros.ros.node_under_test import NodeUnderTest
from zs_seg_ros.types import Box, RgbImage

_QOS = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
_DISCOVERY_S = 20.0
_ACKNOWLEDGED_S = 5.0
_AFTER_STAMP = 12
_PROBE_EVERY_S = 1.0
_SPIN_S = 0.05
_LAST_RESULTS_S = 3.0
_STAMP_AHEAD_NS = 10**6 * 10**9
_SCORE_DIGITS, _POSITION_DIGITS = 6, 6


@dataclass(eq=False)
class _Answer:
    """Results of one frame, which was sent at sent_s (a clock without a beginning)."""

    frame: BagFrame
    sent_s: float = field(default_factory=time.perf_counter)
    latency_ms: float = 0.0
    label: Image | None = None
    objects: messages.ObjectMaskArray | None = None

    @property
    def complete(self) -> bool:
        return self.label is not None and self.objects is not None


@dataclass(frozen=True, eq=False)
class Answered:
    """A frame and what came of it. result: None when nothing came. latency_ms: from publishing to the results."""

    frame: BagFrame
    result: FrameResult | None
    latency_ms: float = 0.0


class Replay:
    """Shows frames to a node. classes: the names in whose order label images are numbered, from 1."""

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
        self._awaited: dict[tuple[str, int], _Answer] = {}
        self._publishers: dict[str, Any] = {}
        self._info_of: dict[str, bytes] = {}  # camera -> what was sent last
        self._depth_stamp_of: dict[str, int] = {}
        self._subscriptions = []
        ros = node.node
        for camera in cameras:
            for topic, message_type in _types(camera).items():
                self._publishers[topic] = ros.create_publisher(message_type, topic, _QOS)
            for name, message_type, callback in (
                ("label", Image, self._on_label),
                ("objects", messages.ObjectMaskArray, self._on_objects),
            ):
                topic = f"{node.name}/{camera.name}/{name}"
                self._subscriptions.append(
                    ros.create_subscription(
                        message_type, topic, partial(callback, camera.name), _QOS
                    )
                )

    # --- before the first frame ---

    def connect(self) -> None:
        """Wait until the node listens and we hear it. Raises ReplayError with the topic that nobody connects to."""
        for topic, publisher in self._publishers.items():
            self._node.wait_for(
                f"{self._node.name} to subscribe to {topic}",
                partial(_has_some, publisher.get_subscription_count),
                _DISCOVERY_S,
            )
            if self._node.node.count_publishers(topic) > 1:
                raise ReplayError(
                    f"somebody else publishes {topic}, too: stop that, so that the node sees the recording alone"
                )
        for subscription in self._subscriptions:
            self._node.wait_for(
                f"{self._node.name} to publish {subscription.topic_name}",
                partial(_has_some, subscription.get_publisher_count),
                _DISCOVERY_S,
            )

    def begin(self, first_frames: Sequence[BagFrame], timeout_s: float) -> None:
        """Show the first image of each camera, and depth that sees nothing, until everything has gone through once.

        With stamps far ahead: the recording's own, which come before them, then make the node's trackers start afresh,
        whatever they have seen until now. Raises ReplayError when no results come.
        """
        with_depth = [(f, f.info) for f in first_frames if f.camera.depth and f.info is not None]
        for frame, info in with_depth:
            self._publish_info(frame.camera, info)
        for frame in first_frames:
            self._probe(frame, timeout_s)
        for frame, _ in with_depth:
            self._wait_until_arrived(frame.camera.info)
        for frame, info in with_depth:
            ahead = replace(frame, stamp_ns=frame.stamp_ns + _STAMP_AHEAD_NS, depth=None)
            self._publish_depth(frame.camera, _depth_of(ahead, info))
        for frame, _ in with_depth:
            self._wait_until_arrived(frame.camera.depth)

    def _probe(self, frame: BagFrame, timeout_s: float) -> None:
        """Until both results come: only then has the node found both our subscriptions."""
        sent: list[_Answer] = []

        def answered() -> bool:
            return any(answer.complete for answer in sent)

        deadline = time.monotonic() + timeout_s
        stamp = frame.stamp_ns + _STAMP_AHEAD_NS
        while not answered():
            if time.monotonic() > deadline:
                raise ReplayError(
                    f"{self._node.name} gave no results for the first image on {frame.camera.image} in "
                    f"{timeout_s:g} s{self._node.complaints}"
                )
            stamp += 10**6
            sent.append(self._await(frame, stamp))
            image = with_stamp(frame.image.serialised, stamp)
            self._publishers[frame.camera.image].publish(image)
            self._node.comes_true(answered, _PROBE_EVERY_S)
        self._awaited.clear()

    # --- lockstep ---

    def show(self, frame: BagFrame, timeout_s: float) -> Answered:
        """Publish one frame and wait for its results."""
        camera = frame.camera
        if camera.depth and frame.info is not None:
            self._send_depth(frame, frame.info)
        answer = self._await(frame, frame.stamp_ns)
        self._publishers[camera.image].publish(frame.image.serialised)
        self._node.comes_true(lambda: answer.complete, timeout_s)
        self._awaited.clear()
        if not answer.complete:  # the node may have given up waiting for depth
            self._depth_stamp_of.pop(camera.name, None)
        return self._answered(answer)

    def _send_depth(self, frame: BagFrame, info: BagMessage) -> None:
        """And what is needed to read it. Topics do not keep their order among each other.

        That matters for camera_info, which the node reads depth with; for the first depth, as the node waits for depth
        only where there is some; and where the depth of another image might be taken for that of this one. An
        acknowledgement takes up to seconds, so it is not asked for where the node waits by itself.
        """
        camera = frame.camera
        if self._info_of.get(camera.name) != info.serialised[_AFTER_STAMP:]:
            self._publish_info(camera, info)
            self._wait_until_arrived(camera.info)
        before = self._depth_stamp_of.get(camera.name)
        depth = _depth_of(frame, info)
        self._publish_depth(camera, depth)
        if before is None or abs(frame.stamp_ns - before) <= TOLERANCE_NS:
            self._wait_until_arrived(camera.depth)

    def _publish_info(self, camera: BagCamera, info: BagMessage) -> None:
        self._publishers[camera.info].publish(info.serialised)
        self._info_of[camera.name] = info.serialised[_AFTER_STAMP:]

    def _publish_depth(self, camera: BagCamera, depth: bytes) -> None:
        self._publishers[camera.depth].publish(depth)
        self._depth_stamp_of[camera.name] = stamp_of(depth)

    def _wait_until_arrived(self, topic: str) -> None:
        self._publishers[topic].wait_for_all_acked(Duration(seconds=_ACKNOWLEDGED_S))

    # --- real time ---

    def play(
        self,
        bag: Bag,
        cameras: Sequence[BagCamera],
        rate: float,
        every: int,
        patience_s: float,
    ) -> Iterator[Answered]:
        """Publish everything at the recorded times divided by `rate`; a frame comes out once its fate is known.

        A frame that is older than one with results is dropped: the node goes for the newest. Raises ReplayError when
        no results come for `patience_s` while some are awaited.
        """
        of_topic = {topic: camera for camera in cameras for topic in camera.topics}
        counts = dict.fromkeys((camera.name for camera in cameras), 0)
        start_s: float | None = None
        self._last_answer_s = time.monotonic()
        for message in bag.messages(of_topic):
            if start_s is None:
                start_s, start_ns = time.monotonic(), message.time_ns
            due_s = start_s + (message.time_ns - start_ns) * 1e-9 / rate
            while (left_s := due_s - time.monotonic()) > 0:
                self._node.spin_once(min(left_s, _SPIN_S))
                yield from self._settled(patience_s)
            topic = message.topic.name
            camera = of_topic[topic]
            if topic == camera.image:
                index = counts[camera.name]
                counts[camera.name] += 1
                if index % every:
                    continue
                stamp = stamp_of(message.serialised)
                if not self._awaited:
                    self._last_answer_s = time.monotonic()
                self._await(BagFrame(camera, index, stamp, message), stamp)
            self._publishers[topic].publish(message.serialised)
            self._node.spin_once(0.0)
            yield from self._settled(patience_s)
        while self._awaited and time.monotonic() - self._last_answer_s < _LAST_RESULTS_S:
            self._node.spin_once()
            yield from self._settled(patience_s)
        yield from map(self._answered, self._awaited.values())

    def _settled(self, patience_s: float) -> Iterator[Answered]:
        """Frames with results, and those before them, which will have none."""
        done = {a.frame.camera.name: a.sent_s for a in self._awaited.values() if a.complete}
        if done:
            self._last_answer_s = time.monotonic()
        elif self._awaited and time.monotonic() - self._last_answer_s > patience_s:
            raise ReplayError(
                f"{self._node.name} gave no results for {patience_s:g} s{self._node.complaints}"
            )
        for key, answer in list(self._awaited.items()):
            if answer.sent_s <= done.get(answer.frame.camera.name, -1.0):
                yield self._answered(self._awaited.pop(key))

    # --- results ---

    def _await(self, frame: BagFrame, stamp: int) -> _Answer:
        answer = self._awaited[frame.camera.name, stamp] = _Answer(frame)
        return answer

    def _on_label(self, camera: str, message: Image) -> None:
        answer = self._awaited.get((camera, stamp_ns(message.header.stamp)))
        if answer is not None:
            answer.label = message
            answer.latency_ms = (time.perf_counter() - answer.sent_s) * 1000

    def _on_objects(self, camera: str, message: messages.ObjectMaskArray) -> None:
        answer = self._awaited.get((camera, stamp_ns(message.header.stamp)))
        if answer is not None:
            answer.objects = message
            answer.latency_ms = (time.perf_counter() - answer.sent_s) * 1000

    def _answered(self, answer: _Answer) -> Answered:
        """Raises ReplayError when the vocabulary has changed meanwhile."""
        frame = answer.frame
        if answer.label is None or answer.objects is None:
            return Answered(frame, None)
        if answer.objects.vocabulary_version != self._vocabulary_version:
            raise ReplayError(
                f"the vocabulary of {self._node.name} was changed during the replay; leave it alone meanwhile"
            )
        label = self._number_of_id[_label_pixels(answer.label)]
        identities = self._identities[frame.camera.name]
        objects = tuple(_found(thing, identities) for thing in answer.objects.objects)
        result = FrameResult(frame.camera.name, frame.index, frame.stamp_ns, label, objects)
        return Answered(frame, result, answer.latency_ms)


def _has_some(count: Callable[[], int]) -> bool:
    return count() > 0


def image_of(frame: BagFrame) -> RgbImage:
    """(H, W, 3) RGB. Raises ImageError."""
    if frame.camera.transport == "compressed":
        return image_from_compressed(deserialize_message(frame.image.serialised, CompressedImage))
    return image_from_message(deserialize_message(frame.image.serialised, Image))


def _types(camera: BagCamera) -> dict[str, Any]:
    """topic -> message class"""
    types = {camera.image: CompressedImage if camera.transport == "compressed" else Image}
    if camera.depth:
        types[camera.depth] = CompressedImage if camera.depth_transport == "compressed" else Image
        types[camera.info] = CameraInfo
    return types


def _found(message: messages.ObjectMask, identities: Identities) -> FoundObject:
    roi, position = message.roi, message.position
    return FoundObject(
        message.class_name,
        round(float(message.score), _SCORE_DIGITS),
        Box(roi.x_offset, roi.y_offset, roi.width, roi.height),
        decode_runs(message.counts, roi.height, roi.width),
        identities.number(message.track_id),
        (
            round(position.x, _POSITION_DIGITS),
            round(position.y, _POSITION_DIGITS),
            round(position.z, _POSITION_DIGITS),
        )
        if message.has_position
        else None,
    )


def _label_pixels(message: Image) -> NDArray[Any]:
    """(H, W)"""
    item = np.dtype("u1" if message.encoding == "mono8" else "<u2")
    return np.frombuffer(message.data, item).reshape(message.height, message.width)


def _depth_of(frame: BagFrame, info: BagMessage) -> bytes:
    """For an image without depth, depth that sees nothing: the node would wait for the next image."""
    if frame.depth is not None:
        return frame.depth.serialised
    calibration = deserialize_message(info.serialised, CameraInfo)
    nothing = np.zeros((calibration.height, calibration.width), np.uint16)
    header = Header(stamp=time_message(frame.stamp_ns))
    if frame.camera.depth_transport == "raw":
        return bytes(serialize_message(image_message(nothing, "16UC1", header)))
    message = CompressedImage(header=header, format="16UC1; compressedDepth png")
    message.data.frombytes(bytes(12) + cv2.imencode(".png", nothing)[1].tobytes())
    return bytes(serialize_message(message))
