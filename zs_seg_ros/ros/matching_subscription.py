"""A subscription whose reliability follows that of the topic's publishers."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import ReliabilityPolicy

from zs_seg_ros.ros.diagnostics import ERROR, SILENCE_S, WARN, Problem
from zs_seg_ros.ros.parameters.node_parameters import CameraParameters
from zs_seg_ros.ros.qos import (
    NEWEST_IMAGE,
    NO_SUBSCRIPTION_EVENTS,
    image_subscription,
    matching_reliability,
)


class MatchingSubscription:
    """Subscribes to one topic of a camera, with a QoS that matches its publishers.

    topic_parameter: the parameter of the camera that names the topic, for messages.
    depth: messages that the middleware keeps; a change takes effect with the next `match_publishers`.
    """

    def __init__(
        self,
        node: LifecycleNode,
        topic: str,
        message_type: Any,
        camera: CameraParameters,
        topic_parameter: str,
        callback_group: Any,
    ) -> None:
        self.topic = node.resolve_topic_name(topic)
        self._node = node
        self._message_type = message_type
        self._type = f"{message_type.__module__.partition('.')[0]}/msg/{message_type.__name__}"
        self._reliability_parameter = camera.reliability
        self._camera = camera.name
        self._topic_parameter = f"{camera.name}.{topic_parameter}"
        self._group = callback_group
        self._subscription: Any = None
        self.depth = NEWEST_IMAGE
        self._in_force: tuple[ReliabilityPolicy, int] | None = None
        self._gaps_s: deque[float] = deque(maxlen=5)

    def subscribe(self, on_message: Callable[[Any], None]) -> None:
        """Subscribe, with the reliability that was requested or that the publishers offer now."""
        self._on_message = on_message
        self._last_message_s = time.monotonic()
        self._subscribe(self._required_reliability())

    def unsubscribe(self) -> None:
        """Destroy the subscription, if there is one."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription, self._in_force = None, None

    def match_publishers(self) -> bool:
        """Subscribe anew when a publisher offers another reliability, or `depth` has changed. Called once a second.

        Returns whether it did, so that messages may have been missed.
        """
        return self._subscription is not None and self._subscribe(self._required_reliability())

    def _required_reliability(self) -> ReliabilityPolicy:
        if self._reliability_parameter == "auto":
            return matching_reliability(self._offered())
        return ReliabilityPolicy[self._reliability_parameter.upper()]

    def _offered(self) -> list[ReliabilityPolicy]:
        return [p.qos_profile.reliability for p in self._publishers() if p.topic_type == self._type]

    def _publishers(self) -> list[Any]:
        return self._node.get_publishers_info_by_topic(self.topic)

    def _subscribe(self, reliability: ReliabilityPolicy) -> bool:
        if (reliability, self.depth) == self._in_force:
            return False
        self.unsubscribe()
        self._subscription = self._node.create_subscription(
            self._message_type,
            self.topic,
            self._receive,
            image_subscription(reliability, self.depth),
            callback_group=self._group,
            event_callbacks=NO_SUBSCRIPTION_EVENTS,
        )
        self._in_force = reliability, self.depth
        return True

    def _receive(self, message: Any) -> None:
        now_s = time.monotonic()
        self._gaps_s.append(now_s - self._last_message_s)
        self._last_message_s = now_s
        self._on_message(message)

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
        if requested == ReliabilityPolicy.RELIABLE != matching_reliability(offered):
            return Problem(
                ERROR,
                f"QoS mismatch: a publisher of {self.topic} is best effort and {self._camera}.reliability is "
                "reliable; set it to auto or best_effort",
            )
        if silence_matters and self._is_silent():
            return Problem(
                WARN,
                f"no message on {self.topic} for {silence_s:.0f} s: its publisher is there but silent",
            )
        return None
