# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Services of `bag_player` (pause, step, seek, ...), named as those of rosbag2's player.

Where rosbag2_interfaces is installed they have its types, so that clients of rosbag2's player work with this
one. Elsewhere those without request fields are std_srvs/Trigger, and the others are left out.
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

_NOT_PLAYED = "possible only while paused, and before the end"


class PlayerServices:
    """Creates the services of a node, which control its playback."""

    def __init__(self, node: Node, playback: Playback) -> None:
        self._node = node
        self._playback = playback
        for name, type_name, callback in (
            ("pause", "Pause", self._pause),
            ("resume", "Resume", self._resume),
            ("toggle_paused", "TogglePaused", self._toggle_paused),
            ("is_paused", "IsPaused", self._is_paused),
            ("play_next", "PlayNext", self._play_next),
            ("stop", "Stop", self._stop),
        ):
            self._create(name, getattr(rosbag2, type_name, Trigger), callback)
        if rosbag2 is not None:
            self._create("burst", rosbag2.Burst, self._burst)
            self._create("get_rate", rosbag2.GetRate, self._get_rate)
            self._create("set_rate", rosbag2.SetRate, self._set_rate)
            self._create("seek", rosbag2.Seek, self._seek)

    def _create(self, name: str, service_type: Any, callback: Callable[[Any, Any], Any]) -> None:
        self._node.create_service(service_type, f"~/{name}", callback)

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
        return _filled(response, success=played, message="" if played else _NOT_PLAYED)

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
    """Set the fields of the response; values that its type has no field for are ignored."""
    for name, value in values.items():
        if hasattr(response, name):
            setattr(response, name, value)
    return response
