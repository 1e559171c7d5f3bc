# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Replays the frames of a bag through a node and collects its results, in lockstep or in real time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import zs_seg_ros.msg as messages
from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.bags.bag_cameras import BagCamera
from zs_seg_ros.errors import ReplayError
from zs_seg_ros.replay.bag_frames import BagFrame, stamp_of, with_stamp
from zs_seg_ros.replay.results import WHOLE, Span
from zs_seg_ros.ros.replay.frame_publisher import FramePublisher, depth_message
from zs_seg_ros.ros.replay.node_under_test import NodeUnderTest
from zs_seg_ros.ros.replay.result_collector import PendingResult, ReplayedFrame, ResultCollector

_PROBE_PERIOD_S = 1.0
_SPIN_S = 0.05
_LAST_RESULTS_TIMEOUT_S = 3.0
_STAMP_AHEAD_NS = 10**6 * 10**9


class FrameReplay:
    """Publishes frames to a node and returns its results. classes: the names that label images are numbered by."""

    def __init__(
        self,
        node: NodeUnderTest,
        cameras: Sequence[BagCamera],
        vocabulary: messages.Vocabulary,
        classes: Sequence[str],
    ) -> None:
        self._node = node
        self._publisher = FramePublisher(node, cameras)
        self._collector = ResultCollector(node, cameras, vocabulary, classes)
        self._last_result_s = 0.0

    # --- before the first frame ---

    def connect(self) -> None:
        """Wait until publishers and subscriptions of both sides match. Raises ReplayError with the topic if not."""
        self._publisher.wait_for_subscribers()
        self._collector.wait_for_publishers()

    def warm_up(self, first_frames: Sequence[BagFrame], timeout_s: float) -> None:
        """Publish the first image of each camera, and empty depth images, until every topic has delivered once.

        Their stamps are far ahead of the recording's. When the recorded stamps follow, time runs backwards for the
        node, so that its trackers are reset, whatever it processed before. Raises ReplayError without results.
        """
        with_depth = [(f, f.info) for f in first_frames if f.camera.depth and f.info is not None]
        for frame, info in with_depth:
            self._publisher.publish_info(frame.camera, info)
        for frame in first_frames:
            self._probe(frame, timeout_s)
        for frame, _ in with_depth:
            self._publisher.wait_until_acknowledged(frame.camera.info)
        for frame, info in with_depth:
            ahead = replace(frame, stamp_ns=frame.stamp_ns + _STAMP_AHEAD_NS, depth=None)
            self._publisher.publish_depth(frame.camera, depth_message(ahead, info))
        for frame, _ in with_depth:
            self._publisher.wait_until_acknowledged(frame.camera.depth)

    def _probe(self, frame: BagFrame, timeout_s: float) -> None:
        """Publish an image until both of its results arrive: only then has the node matched both subscriptions."""
        probes: list[PendingResult] = []

        def delivered() -> bool:
            return any(probe.is_complete for probe in probes)

        deadline = time.monotonic() + timeout_s
        stamp_ns = frame.stamp_ns + _STAMP_AHEAD_NS
        while not delivered():
            if time.monotonic() > deadline:
                raise ReplayError(
                    f"{self._node.name} gave no results for the first image on {frame.camera.image} in "
                    f"{timeout_s:g} s{self._node.reported_errors}"
                )
            stamp_ns += 10**6
            probes.append(self._collector.expect(frame, stamp_ns))
            image = with_stamp(frame.image.serialised, stamp_ns)
            self._publisher.publish(frame.camera.image, image)
            self._node.spin_until(delivered, _PROBE_PERIOD_S)
        self._collector.pending.clear()

    # --- lockstep ---

    def process(self, frame: BagFrame, timeout_s: float) -> ReplayedFrame:
        """Publish one frame and wait for its results, for `timeout_s` at most."""
        if frame.camera.depth and frame.info is not None:
            self._publisher.publish_depth_of(frame, frame.info)
        pending = self._collector.expect(frame, frame.stamp_ns)
        self._publisher.publish(frame.camera.image, frame.image.serialised)
        self._node.spin_until(lambda: pending.is_complete, timeout_s)
        self._collector.pending.clear()
        if not pending.is_complete:
            self._publisher.forget_depth(frame.camera)
        return self._collector.replayed(pending)

    # --- real time ---

    def play(
        self,
        bag: Bag,
        cameras: Sequence[BagCamera],
        rate: float,
        every: int,
        timeout_s: float,
        span: Span = WHOLE,
    ) -> Iterator[ReplayedFrame]:
        """Publish every message at its recorded time divided by `rate`, and yield frames with or without results.

        A frame counts as dropped once a later one of its camera has results: the node processes the newest
        frame only. Raises ReplayError when no results arrive for `timeout_s` while frames are pending.
        """
        camera_of = {topic: camera for camera in cameras for topic in camera.topics}
        counts = dict.fromkeys((camera.name for camera in cameras), 0)
        start_s: float | None = None
        self._last_result_s = time.monotonic()
        for message in bag.messages(camera_of):
            topic = message.topic.name
            camera = camera_of[topic]
            if all(span.is_past(count) for count in counts.values()):
                break
            if not span.holds(counts[camera.name]):
                counts[camera.name] += topic == camera.image
                if topic == camera.info:
                    self._publisher.publish_info(camera, message)
                continue
            if start_s is None:
                start_s, start_ns = time.monotonic(), message.time_ns
            due_s = start_s + (message.time_ns - start_ns) * 1e-9 / rate
            while (left_s := due_s - time.monotonic()) > 0:
                self._node.spin_once(min(left_s, _SPIN_S))
                yield from self._settled(timeout_s)
            if topic == camera.image:
                index = counts[camera.name]
                counts[camera.name] += 1
                if index % every:
                    continue
                stamp_ns = stamp_of(message.serialised)
                if not self._collector.pending:
                    self._last_result_s = time.monotonic()
                self._collector.expect(BagFrame(camera, index, stamp_ns, message), stamp_ns)
            self._publisher.publish(topic, message.serialised)
            self._node.spin_once(0.0)
            yield from self._settled(timeout_s)
        yield from self._last_results(timeout_s)

    def _settled(self, timeout_s: float) -> Iterator[ReplayedFrame]:
        """Yield frames with results, and frames before them, which the node has dropped."""
        settled = self._collector.take_settled()
        waited_s = time.monotonic() - self._last_result_s
        if settled:
            self._last_result_s = time.monotonic()
        elif self._collector.pending and waited_s > timeout_s:
            raise ReplayError(
                f"{self._node.name} gave no results for {timeout_s:g} s{self._node.reported_errors}"
            )
        yield from map(self._collector.replayed, settled)

    def _last_results(self, timeout_s: float) -> Iterator[ReplayedFrame]:
        """Wait for the results of the last frames, and yield the frames that have none after that."""
        pending = self._collector.pending
        while pending and time.monotonic() - self._last_result_s < _LAST_RESULTS_TIMEOUT_S:
            self._node.spin_once()
            yield from self._settled(timeout_s)
        yield from map(self._collector.replayed, pending.values())
