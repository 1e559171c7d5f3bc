# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A running node as the source of the studio: it is subscribed to while a browser looks, and not otherwise."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header

import zs_seg_ros.msg as messages
import zs_seg_ros.srv as services
from zs_seg_ros.errors import ImageError, StudioError, VocabularyError
from zs_seg_ros.images.message_images import values_from_image
from zs_seg_ros.perception.pipeline import DEFAULT_THRESHOLD
from zs_seg_ros.ros.conversions import image_message, target_message
from zs_seg_ros.ros.qos import LATCHED
from zs_seg_ros.ros.studio.camera_feed import CameraFeed, shown_objects_of
from zs_seg_ros.ros.studio.keep_calls import KeepCalls
from zs_seg_ros.ros.studio.remote_node import RemoteCamera, RemoteNode, vocabulary_of
from zs_seg_ros.segmenters.mask_prompts import MaskPrompt
from zs_seg_ros.shown import shown
from zs_seg_ros.studio.frames import ShownFrame
from zs_seg_ros.studio.jobs import Work
from zs_seg_ros.studio.source import (
    Changed,
    Entry,
    Events,
    MarkedObject,
    ModelChoice,
    Status,
    Watched,
)
from zs_seg_ros.types import RgbImage, size_of
from zs_seg_ros.vocabulary.vocabulary import TargetClass

_POLL_S = 1.0
_CHANGE_TIMEOUT_S = 90.0
_SEGMENT_TIMEOUT_S = 60.0
_DIAGNOSTICS_DEPTH = 10
_SILENCE_S = 5.0
_TEXT, _VALUES = 2000, 100


class NodeSource:
    """Shows one node. Implements `Source`; `watch` and the timer of the node exclude each other."""

    def __init__(self, node: Node, name: str) -> None:
        """name: the full name of the node to show, such as /zs_seg."""
        self._node = node
        self._remote = RemoteNode(node, name)
        self._keeping = KeepCalls(self._remote)
        self._events: Events | None = None
        self._lock = threading.RLock()
        self._watched = Watched()
        self._cameras: tuple[RemoteCamera, ...] = ()
        self._default_threshold = DEFAULT_THRESHOLD
        self._known = False
        self._feeds: dict[str, CameraFeed] = {}
        self._subscriptions: list[Any] = []
        self._entries: tuple[Entry, ...] = ()
        self._entries_s = float("-inf")
        self._status: Status | None = None
        self._timer: Any = None

    # --- Source ---

    def start(self, events: Events) -> None:
        """Report to `events` from now on."""
        self._events = events
        self._timer = self._node.create_timer(_POLL_S, self._poll, MutuallyExclusiveCallbackGroup())
        self._report_status()

    def stop(self) -> None:
        """Unsubscribe from everything."""
        self.watch(Watched())

    def watch(self, watched: Watched) -> None:
        """Follow what the browsers look at."""
        with self._lock:
            self._watched = watched
            if watched.clients and not self._subscriptions:
                self._subscribe()
            elif not watched.clients:
                self._unsubscribe()
        self._poll()

    def choose(self, camera: str, index: int) -> None:
        """Refuse: cameras are live."""
        raise StudioError("the cameras of a node are live: step through their last 30 seconds")

    def change_vocabulary(self, classes: Sequence[TargetClass]) -> Changed:
        """Call set_vocabulary. Raises VocabularyError when the node refuses, StudioError without an answer."""
        request = services.SetVocabulary.Request(classes=[target_message(c) for c in classes])
        response = self._remote.call(request, services.SetVocabulary, _CHANGE_TIMEOUT_S)
        if not response.success:
            raise VocabularyError(response.message)
        return Changed(vocabulary_of(response.vocabulary), tuple(response.warnings))

    def segment(
        self, image: RgbImage, classes: Sequence[TargetClass], against: bool = False
    ) -> ShownFrame:
        """Call segment with these classes. Raises StudioError when the node refuses, or without an answer."""
        request = services.SegmentImage.Request(
            image=_rgb_message(image),
            classes=[target_message(c) for c in classes],
        )
        return self._segmented(image, request)

    def point(self, image: RgbImage, prompt: MaskPrompt) -> ShownFrame:
        """Call segment with a marked object. Raises StudioError when the node refuses, or without an answer."""
        marked = messages.MaskPrompt(
            points=[messages.PointPrompt(x=p.x, y=p.y, outside=p.outside) for p in prompt.points]
        )
        if prompt.box is not None:
            box = prompt.box
            marked.box = RegionOfInterest(
                x_offset=box.left, y_offset=box.top, width=box.width, height=box.height
            )
        request = services.SegmentImage.Request(image=_rgb_message(image), prompts=[marked])
        return self._segmented(image, request)

    def model(self) -> ModelChoice:
        """Ask the node for its model. Raises StudioError without an answer."""
        return self._remote.model()

    def replay_test(self, camera: str, first: int, last: int, path: Path) -> Work:
        """Refuse: a node has no recording."""
        raise StudioError(
            "a replay test is made of a recording, and this node is live: start zs-seg studio RECORDING --save FOLDER"
        )

    def keep(self, marked: MarkedObject, name: str) -> str:
        """Call keep with a mask. Raises StudioError when the node refuses, or without an answer."""
        return self._keeping.keep(marked, name)

    def _segmented(self, image: RgbImage, request: services.SegmentImage.Request) -> ShownFrame:
        response = self._remote.call(request, services.SegmentImage, _SEGMENT_TIMEOUT_S)
        if not response.success:
            raise StudioError(response.message)
        try:
            confidence = values_from_image(response.confidence).astype(np.uint8)
        except ImageError as error:
            raise StudioError(f"the answer of segment cannot be read: {error}") from error
        objects = shown_objects_of(response.result)
        return ShownFrame("", 0, image, size_of(image), objects, confidence=confidence)

    # --- subscriptions; with the lock ---

    def _subscribe(self) -> None:
        name = self._remote.name
        self._subscriptions = [
            self._node.create_subscription(
                messages.Vocabulary, f"{name}/vocabulary", self._on_vocabulary, LATCHED
            ),
            self._node.create_subscription(
                DiagnosticArray, "/diagnostics", self._on_diagnostics, _DIAGNOSTICS_DEPTH
            ),
        ]

    def _unsubscribe(self) -> None:
        for feed in self._feeds.values():
            feed.stop()
        self._feeds.clear()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions, self._known = [], False

    def _follow_cameras(self) -> None:
        by_name = {camera.name: camera for camera in self._cameras}
        for name, feed in list(self._feeds.items()):
            if name not in self._watched.cameras or by_name.get(name) != feed.camera:
                feed.stop()
                del self._feeds[name]
        for name in self._watched.cameras & by_name.keys():
            if by_name[name].transport == "ffmpeg":
                continue
            if name not in self._feeds:
                self._feeds[name] = CameraFeed(
                    self._node, self._remote.name, by_name[name], self._on_frame
                )
            self._feeds[name].start(name in self._watched.confidence)
            self._feeds[name].match_publishers()

    # --- once a second, and when clients look elsewhere ---

    def _poll(self) -> None:
        with self._lock:
            if not self._watched.clients:
                return
            if not self._remote.is_there:
                self._known = False
        self._ask_for_parameters()
        with self._lock:
            self._follow_cameras()
        self._report_status()

    def _ask_for_parameters(self) -> None:
        """Learn the cameras: parameters can change while the node runs, and another node can have its name."""
        if not self._remote.is_there:
            return
        try:
            cameras, threshold = self._remote.shown_parameters()
        except StudioError:  # asked again in a second
            with self._lock:
                self._known = False
            return
        with self._lock:
            self._cameras, self._default_threshold, self._known = cameras, threshold, True

    def _report_status(self) -> None:
        with self._lock:
            status = self._current_status()
            changed, self._status = status != self._status, status
        if changed and self._events is not None:
            self._events.status(status)

    def _current_status(self) -> Status:
        name = self._remote.name
        problems = []
        if not self._remote.is_there:
            problems.append(
                f"there is no node {name}: start it with `ros2 launch zs_seg_ros segmentation.launch.py`, or name "
                "another with --node"
            )
        elif not self._known:
            problems.append(f"{name} does not answer yet: wait, or see its log")
        for feed_name, feed in self._feeds.items():
            if feed.problem:
                problems.append(f"{feed_name}: {feed.problem}")
        for camera in self._cameras:
            if camera.transport == "ffmpeg":
                problems.append(
                    f"{camera.name} has the transport ffmpeg, which the studio does not show: choose another camera"
                )
        silent = time.monotonic() - self._entries_s > _SILENCE_S
        entries = () if silent else self._entries
        state = next((e.values.get("state", "") for e in entries if e.name.endswith(": model")), "")
        return Status(
            name,
            state,
            "; ".join(problems),
            tuple(camera.name for camera in self._cameras),
            self._default_threshold,
            entries,
        )

    # --- received ---

    def _on_frame(self, frame: ShownFrame) -> None:
        self._keeping.receive(frame)
        if self._events is not None:
            self._events.frame(frame)

    def _on_vocabulary(self, message: messages.Vocabulary) -> None:
        if self._events is not None:
            self._events.vocabulary(vocabulary_of(message))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        own = [s for s in message.status if s.name.startswith(f"{self._remote.name}: ")]
        if not own:
            return
        entries = tuple(
            Entry(
                shown(status.name, _TEXT),
                int.from_bytes(status.level, "little"),
                shown(status.message, _TEXT),
                {
                    shown(pair.key, _TEXT): shown(pair.value, _TEXT)
                    for pair in status.values[:_VALUES]
                },
            )
            for status in own
        )
        with self._lock:
            self._entries, self._entries_s = entries, time.monotonic()
        self._report_status()


def _rgb_message(image: RgbImage) -> Image:
    return image_message(image, "rgb16" if image.dtype.itemsize == 2 else "rgb8", Header())
