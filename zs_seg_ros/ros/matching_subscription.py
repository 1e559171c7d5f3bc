# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A subscription whose QoS follows the topic's publishers, and which exists while its messages are needed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from zs_seg_ros.ros.camera_receiver import CameraReceiver
from zs_seg_ros.ros.diagnostics import ERROR, SILENCE_S, WARN, Problem
from zs_seg_ros.ros.parameters.node_parameters import CameraParameters
from zs_seg_ros.ros.qos import (
    NEWEST_IMAGE,
    NO_SUBSCRIPTION_EVENTS,
    image_subscription,
    matching_durability,
    matching_reliability,
)
from zs_seg_ros.ros.serialised_images import is_received_serialised, read

_Policies = tuple[ReliabilityPolicy, DurabilityPolicy, int]

_LINGER_S = 1.0
"""How long a subscription outlasts the last need for it: a viewer that subscribes anew should not interrupt it."""


class MatchingSubscription:
    """Subscribes to one topic of a camera, with a QoS that matches its publishers.

    topic_parameter: the parameter of the camera that names the topic, for messages.
    latched: whether a message that was published before the subscription is wanted, where publishers keep it.
    on_message: called with what was received, for `message`; images are serialised, so that they cost little unread.
    depth: messages that the middleware keeps; a change takes effect with the next `match_publishers`.
    """

    def __init__(
        self,
        node: LifecycleNode,
        topic: str,
        message_type: Any,
        camera: CameraParameters,
        topic_parameter: str,
        receiver: CameraReceiver,
        on_message: Callable[[Any], None],
        latched: bool = False,
    ) -> None:
        self.topic = node.resolve_topic_name(topic)
        self._node = node
        self._message_type = message_type
        self._type = f"{message_type.__module__.partition('.')[0]}/msg/{message_type.__name__}"
        self._reliability_parameter = camera.reliability
        self._camera = camera.name
        self._topic_parameter = f"{camera.name}.{topic_parameter}"
        self._receiver = receiver
        receiver.register(self)
        self._on_message = on_message
        self._latched = latched
        self._subscription: Any = None
        self.depth = NEWEST_IMAGE
        self._in_force: _Policies | None = None
        self._needed_s = self._last_message_s = 0.0
        self._gaps_s: deque[float] = deque(maxlen=5)

    @property
    def exists(self) -> bool:
        """Whether the topic is subscribed to at present."""
        return self._subscription is not None

    def follow(self, needed: bool) -> bool:
        """Subscribe as soon as messages are needed; unsubscribe when they have not been for `_LINGER_S` seconds.

        Returns whether it subscribed now.
        """
        now_s = time.monotonic()
        if needed:
            self._needed_s = now_s
            if not self.exists:
                self._last_message_s = now_s
                return self._subscribe(self._required())
        elif self.exists and now_s - self._needed_s > _LINGER_S:
            self.unsubscribe()
        return False

    def unsubscribe(self) -> None:
        """Destroy the subscription, if there is one."""
        if self._subscription is not None:
            self._receiver.stop(self)
            self._node.destroy_subscription(self._subscription)
            self._subscription, self._in_force = None, None

    def match_publishers(self) -> bool:
        """Subscribe anew when a publisher offers another reliability, or `depth` has changed. Called once a second.

        Returns whether it did, so that messages may have been missed.
        """
        return self.exists and self._subscribe(self._required())

    def _required(self) -> _Policies:
        profiles = self._offered()
        durability = DurabilityPolicy.VOLATILE
        if self._latched:
            durability = matching_durability(profile.durability for profile in profiles)
        if self._reliability_parameter == "auto":
            reliability = matching_reliability(profile.reliability for profile in profiles)
        else:
            reliability = ReliabilityPolicy[self._reliability_parameter.upper()]
        return reliability, durability, self.depth

    def _offered(self) -> list[QoSProfile]:
        return [p.qos_profile for p in self._publishers() if p.topic_type == self._type]

    def _publishers(self) -> list[Any]:
        return self._node.get_publishers_info_by_topic(self.topic)

    def _subscribe(self, policies: _Policies) -> bool:
        if policies == self._in_force:
            return False
        self.unsubscribe()
        self._subscription = self._node.create_subscription(
            self._message_type,
            self.topic,
            lambda _: None,  # the receiver calls `_receive`
            image_subscription(*policies),
            callback_group=self._receiver.callback_group,
            event_callbacks=NO_SUBSCRIPTION_EVENTS,
            raw=is_received_serialised(self._message_type),
        )
        self._in_force = policies
        self._receiver.receive(self, self._subscription, self._receive)
        return True

    def _receive(self, message: Any) -> None:
        now_s = time.monotonic()
        self._gaps_s.append(now_s - self._last_message_s)
        self._last_message_s = now_s
        self._on_message(message)

    def message(self, received: Any) -> Any:
        """Return the message of what `on_message` was called with. Raises ImageError for a damaged one."""
        if is_received_serialised(self._message_type):
            return read(received, self._message_type)
        return received

    def _is_silent(self) -> bool:
        """Return whether no message has been received for longer than is usual on this topic."""
        gaps = sorted(self._gaps_s)
        usual_s = gaps[len(gaps) // 2] if gaps else 0.0
        return time.monotonic() - self._last_message_s > max(SILENCE_S, 3 * usual_s)

    def problem(self, silence_matters: bool = True) -> Problem | None:
        """Return the reason why no messages are received on this topic; None without a problem.

        silence_matters: whether a publisher that sends nothing is a problem.
        """
        offered = self._offered()
        silence_s = time.monotonic() - self._last_message_s
        others = {publisher.topic_type for publisher in self._publishers()} - {self._type}
        if offered and others:
            return Problem(
                WARN,
                f"{self.topic} is published as {', '.join(sorted(others))} too, of which nothing is received: give "
                f"each publisher a topic of its own, or name another with {self._topic_parameter}",
            )
        if not offered:
            if others:
                return Problem(
                    ERROR,
                    f"{self.topic} is published as {', '.join(sorted(others))} and not as {self._type}: change "
                    f"the camera's transport, or name another topic with {self._topic_parameter}",
                )
            return Problem(
                WARN,
                f"{self.topic} has no publisher: start the camera, or name its topic with {self._topic_parameter}",
            )
        requested = self._in_force[0] if self._in_force is not None else None
        if (
            requested
            == ReliabilityPolicy.RELIABLE
            != matching_reliability(profile.reliability for profile in offered)
        ):
            return Problem(
                ERROR,
                f"QoS mismatch: a publisher of {self.topic} is best effort and {self._camera}.reliability is "
                "reliable; set it to auto or best_effort",
            )
        if silence_matters and self.exists and self._is_silent():
            return Problem(
                WARN,
                f"no message on {self.topic} for {silence_s:.0f} s: its publisher is there but silent",
            )
        return None
