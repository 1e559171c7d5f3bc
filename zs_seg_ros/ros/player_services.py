"""Pause, step and the like as services, named as those of rosbag2's player.

Where rosbag2_interfaces is installed they have its types, so that what calls rosbag2's player can call this
one. Elsewhere those that need no more than a name are std_srvs/Trigger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from zs_seg_ros.bags.playback import Playback

try:
    import rosbag2_interfaces.srv as rosbag2
except ImportError:
    rosbag2 = None

_PAUSE_FIRST = "only in pause, and not at the end"


class PlayerServices:
    """The services of one node, and what they answer."""

    def __init__(self, node: Node, playback: Playback) -> None:
        self._node = node
        self._playback = playback
        for name, type_name, answer in (
            ("pause", "Pause", self._pause),
            ("resume", "Resume", self._resume),
            ("toggle_paused", "TogglePaused", self._toggle_paused),
            ("is_paused", "IsPaused", self._is_paused),
            ("play_next", "PlayNext", self._play_next),
            ("stop", "Stop", self._stop),
        ):
            self._offer(name, getattr(rosbag2, type_name, Trigger), answer)
        if rosbag2 is not None:
            self._offer("burst", rosbag2.Burst, self._burst)
            self._offer("get_rate", rosbag2.GetRate, self._get_rate)
            self._offer("set_rate", rosbag2.SetRate, self._set_rate)
            self._offer("seek", rosbag2.Seek, self._seek)

    def _offer(self, name: str, kind: Any, answer: Callable[[Any, Any], Any]) -> None:
        self._node.create_service(kind, f"~/{name}", answer)

    def _pause(self, _: Any, response: Any) -> Any:
        self._playback.pause()
        return _filled(response, success=True)

    def _resume(self, _: Any, response: Any) -> Any:
        self._playback.resume()
        return _filled(response, success=True)

    def _toggle_paused(self, _: Any, response: Any) -> Any:
        self._playback.toggle_paused()
        return self._is_paused(_, response)

    def _is_paused(self, _: Any, response: Any) -> Any:
        paused = self._playback.paused
        return _filled(
            response, paused=paused, success=True, message="paused" if paused else "playing"
        )

    def _play_next(self, _: Any, response: Any) -> Any:
        played = self._playback.play_next() == 1
        return _filled(response, success=played, message="" if played else _PAUSE_FIRST)

    def _stop(self, _: Any, response: Any) -> Any:
        self._playback.stop()
        return _filled(response, success=True)

    def _burst(self, request: Any, response: Any) -> Any:
        return _filled(response, actually_burst=self._playback.play_next(request.num_messages))

    def _get_rate(self, _: Any, response: Any) -> Any:
        return _filled(response, rate=self._playback.rate)

    def _set_rate(self, request: Any, response: Any) -> Any:
        (result,) = self._node.set_parameters([Parameter("rate", value=request.rate)])
        return _filled(response, success=result.successful)

    def _seek(self, request: Any, response: Any) -> Any:
        time_ns = request.time.sec * 10**9 + request.time.nanosec
        return _filled(response, success=self._playback.seek(time_ns))


def _filled(response: Any, **values: Any) -> Any:
    """The response with those of the values that its type has a field for."""
    for name, value in values.items():
        if hasattr(response, name):
            setattr(response, name, value)
    return response
