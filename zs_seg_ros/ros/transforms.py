# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Transforms between coordinate frames, from /tf and /tf_static: by tf2_ros where it is installed."""

from __future__ import annotations

import importlib
import time
from typing import Any, Protocol

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time

from zs_seg_ros.perception.transform_buffer import (
    HISTORY_S,
    Lookup,
    Transform,
    TransformBuffer,
    pose_of,
)
from zs_seg_ros.ros.qos import NO_SUBSCRIPTION_EVENTS, STATIC_TRANSFORMS, TRANSFORMS
from zs_seg_ros.shown import described
from zs_seg_ros.types import Frame

NOT_INSTALLED = "transforms are off, because neither tf2_ros nor tf2_msgs is installed: install ros-$ROS_DISTRO-tf2-ros"
NOT_STARTED = "transforms are not received"

LONGEST_WAIT_S = 0.02
"""How long a frame waits for a transform: it is usually published a little after the image that needs it."""
RETRY_S = 1.0
"""After a wait in vain, frames do not wait for so long."""
_POLL_S = 0.002


class _Source(Protocol):
    def lookup(
        self, target_frame: str, source_frame: str, stamp_ns: int, tolerance_ns: int = 0
    ) -> Lookup: ...
    def clear(self) -> None: ...
    def stop(self) -> None: ...


class Transforms:
    """Looks up where a frame was in another one at a moment of the last 10 seconds, from `start` to `stop`.

    Thread-safe. Without tf2_ros a buffer of this package does it; without tf2_msgs, too, nothing is known.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._source: _Source | None = None
        self._reason = NOT_STARTED
        self._now_ns = 0

    @property
    def available(self) -> bool:
        """Whether transforms are received; `lookup` says why when they are not."""
        return self._source is not None

    def start(self) -> None:
        """Subscribe to /tf and /tf_static, unless that is done already."""
        if self._source is not None:
            return
        self._source = _tf2_source(self._node) or _own_source(self._node)
        self._reason = NOT_INSTALLED

    def stop(self) -> None:
        """End the subscriptions, and forget all transforms."""
        source, self._source = self._source, None
        self._reason = NOT_STARTED
        if source is not None:
            source.stop()

    def lookup(
        self, target_frame: str, source_frame: str, stamp_ns: int, tolerance_ns: int = 0
    ) -> Lookup:
        """Return the pose of the source frame in the target frame at a stamp, interpolated between two transforms.

        tolerance_ns: how much older than the stamp the newest transforms may be; they are used as they are. A pose
        that is not known is None, with the reason in one sentence.
        """
        source = self._source
        if source is None:
            return Lookup(None, self._reason)
        # Simulated time jumps back when a bag starts again. rclpy's callbacks of jumps do not report that.
        before_ns, self._now_ns = self._now_ns, self._node.get_clock().now().nanoseconds
        if self._now_ns < before_ns:
            source.clear()
        return source.lookup(target_frame, source_frame, stamp_ns, tolerance_ns)


def _tf2_source(node: Node) -> _Source | None:
    try:
        return _Tf2Source(node, importlib.import_module("tf2_ros"))
    except ImportError:
        return None


def _own_source(node: Node) -> _Source | None:
    try:
        return _OwnSource(node, importlib.import_module("tf2_msgs.msg").TFMessage)
    except ImportError:
        return None


class _Tf2Source:
    """tf2_ros's own buffer and listener."""

    def __init__(self, node: Node, tf2_ros: Any) -> None:
        self._error = tf2_ros.TransformException
        self._buffer = tf2_ros.Buffer(cache_time=Duration(seconds=HISTORY_S))
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def lookup(
        self, target_frame: str, source_frame: str, stamp_ns: int, tolerance_ns: int = 0
    ) -> Lookup:
        exact = self._at(target_frame, source_frame, Time(nanoseconds=stamp_ns))
        if not tolerance_ns or exact.pose is not None:
            return exact
        return self._newest(target_frame, source_frame, stamp_ns - tolerance_ns) or exact

    def _at(self, target_frame: str, source_frame: str, time: Time) -> Lookup:
        try:
            stamped = self._buffer.lookup_transform(target_frame, source_frame, time)
            return Lookup(pose_of(_transform(stamped.transform).checked()))
        except (self._error, ValueError) as error:
            return Lookup(None, described(error))

    def _newest(self, target_frame: str, source_frame: str, oldest_ns: int) -> Lookup | None:
        """Return the newest pose unless it is older than `oldest_ns`."""
        try:
            stamped = self._buffer.lookup_transform(target_frame, source_frame, Time())
        except self._error:
            return None
        stamp = stamped.header.stamp
        if stamp.sec * 1_000_000_000 + stamp.nanosec < oldest_ns:
            return None
        return self._at(target_frame, source_frame, Time.from_msg(stamp))

    def clear(self) -> None:
        self._buffer.clear()

    def stop(self) -> None:
        self._listener.unregister()


class _OwnSource(TransformBuffer):
    """A buffer with subscriptions."""

    def __init__(self, node: Node, message_type: Any) -> None:
        super().__init__()
        self._node = node
        group = MutuallyExclusiveCallbackGroup()
        self._subscriptions = [
            node.create_subscription(
                message_type,
                topic,
                on_message,
                qos,
                callback_group=group,
                event_callbacks=NO_SUBSCRIPTION_EVENTS,
            )
            for topic, qos, on_message in (
                ("/tf", TRANSFORMS, self._on_transforms),
                ("/tf_static", STATIC_TRANSFORMS, self._on_static_transforms),
            )
        ]

    def _on_transforms(self, message: Any) -> None:
        self._add(message, static=False)

    def _on_static_transforms(self, message: Any) -> None:
        self._add(message, static=True)

    def _add(self, message: Any, *, static: bool) -> None:
        for each in message.transforms:
            stamp, transform = each.header.stamp, _transform(each.transform)
            stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
            self.add(each.header.frame_id, each.child_frame_id, stamp_ns, transform, static=static)

    def stop(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)


def _transform(message: Any) -> Transform:
    """Convert a geometry_msgs/Transform."""
    turn, shift = message.rotation, message.translation
    return Transform((turn.x, turn.y, turn.z, turn.w), (shift.x, shift.y, shift.z))


class CameraPoses:
    """The poses of cameras in a fixed frame, at the stamps of their images.

    fixed_frame and tolerance_ns, how much older than an image the newest transform may be, may change at any time.
    """

    def __init__(self, transforms: Transforms, fixed_frame: str, tolerance_ns: int = 0) -> None:
        self.fixed_frame = fixed_frame
        self.tolerance_ns = tolerance_ns
        self._transforms = transforms
        self._no_wait_before_s: dict[str, float] = {}

    def lookup(self, frame: Frame) -> Lookup:
        """Return the pose at the frame's stamp, or the reason why it is not known, also after a short wait."""
        lookup = self._looked_up(frame)
        if lookup.pose is not None or not self._transforms.available:
            return lookup
        if time.monotonic() < self._no_wait_before_s.get(frame.camera, 0.0):
            return lookup
        end_s = time.monotonic() + LONGEST_WAIT_S
        while lookup.pose is None and time.monotonic() < end_s:
            time.sleep(_POLL_S)
            lookup = self._looked_up(frame)
        if lookup.pose is None:
            self._no_wait_before_s[frame.camera] = time.monotonic() + RETRY_S
        return lookup

    def _looked_up(self, frame: Frame) -> Lookup:
        return self._transforms.lookup(
            self.fixed_frame, frame.frame_id, frame.stamp_ns, self.tolerance_ns
        )
