# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The node `bag_player`: publishes the messages of a bag, byte for byte, with their recorded QoS."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from types import FrameType

from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor, SetParametersResult
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock

from zs_seg_ros.bags.bag import Bag, BagMessage
from zs_seg_ros.bags.playback import FASTEST, SLOWEST, Playback, PlaybackOptions
from zs_seg_ros.cli.bag_player import parse, playback_options, without_ros_arguments
from zs_seg_ros.cli.interruption import is_importing
from zs_seg_ros.errors import BagError
from zs_seg_ros.ros.player.bag_topic import publisher_for, recorded_qos
from zs_seg_ros.ros.player.player_services import PlayerServices
from zs_seg_ros.ros.process import run
from zs_seg_ros.ros.qos import NEWEST
from zs_seg_ros.ros.rclpy_services import answer_every_request
from zs_seg_ros.shown import traced

_FAILED = 2
_JOIN_TIMEOUT_S = 0.5


class BagPlayer(Node):
    """Plays a bag from construction on, in a thread of its own.

    Topics whose message type is not installed are left out.
    """

    def __init__(
        self,
        bag: Bag,
        options: PlaybackOptions,
        ended: Future[int],
        remappings: Sequence[str] = (),
        wait_for_subscribers: bool = False,
        acknowledged_within_s: float = 1.0,
    ) -> None:
        """Start playing. Raises BagError when nothing can be played.

        bag: closed when the node is destroyed. ended: gets the exit code at the end. remappings: "OLD:=NEW".
        acknowledged_within_s: how long to wait at the end for reliable subscribers to acknowledge all messages; 0:
        without limit.
        """
        rules = [word for rule in remappings for word in ("--remap", rule)]
        super().__init__("bag_player", cli_args=["--ros-args", *rules])
        answer_every_request(self)
        self._bag = bag
        self._ended = ended
        self._wait_for_subscribers = wait_for_subscribers
        self._acknowledged_within_s = acknowledged_within_s
        self._is_destroyed = False
        bag.require(options.topics)
        self._outputs = {
            name: publisher
            for name in options.topics
            if (publisher := self._publisher(name)) is not None
        }
        self._clock_output = (
            self.create_publisher(Clock, "/clock", NEWEST) if options.clock_hz else None
        )
        description = ParameterDescriptor(
            description="Recorded seconds played per second.",
            floating_point_range=[FloatingPointRange(from_value=SLOWEST, to_value=FASTEST)],
        )
        rate = self.declare_parameter("rate", options.rate, description).value
        self._playback = Playback(
            bag,
            replace(options, topics=tuple(self._outputs), rate=rate),
            self._publish,
            self._publish_time,
            self._report_lag,
        )
        self.add_on_set_parameters_callback(self._on_parameters)
        self._player_services = PlayerServices(self, self._playback)
        self.get_logger().info(
            f"playing {bag.folder}: {bag.duration_ns / 1e9:.1f} s, "
            f"{len(self._outputs)} topics, rate {rate:g}{', paused' if options.paused else ''}"
        )
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def _publisher(self, topic_name: str) -> Publisher | None:
        topic = self._bag.topics[topic_name]
        return publisher_for(self, topic, topic.name, recorded_qos(topic))

    def _on_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            if parameter.name == "rate":
                self._playback.set_rate(parameter.value)
        return SetParametersResult(successful=True)

    # --- in the thread that plays ---

    def _play(self) -> None:
        try:
            self._playback.run(self._may_start)
            self._wait_until_acknowledged()
            self._ended.set_result(0)
        except BagError as error:
            self.get_logger().error(str(error))
            self._ended.set_result(_FAILED)
        except Exception as error:
            if self._is_destroyed:  # a publisher was destroyed while publishing
                self._ended.set_result(0)
                return
            self.get_logger().fatal(traced(error))
            self._ended.set_result(1)

    def _may_start(self) -> bool:
        if not self._wait_for_subscribers:
            return True
        if any(output.get_subscription_count() for output in self._outputs.values()):
            return True
        self.get_logger().info("waiting for a subscriber", once=True)
        return False

    def _publish(self, message: BagMessage) -> None:
        self._outputs[message.topic.name].publish(message.serialised)
        for warning in self._bag.new_warnings():  # about damage that reading has met
            self.get_logger().warning(warning)

    def _publish_time(self, time_ns: int) -> None:
        if self._clock_output is not None:
            message = Clock()
            message.clock.sec, message.clock.nanosec = divmod(time_ns, 10**9)
            self._clock_output.publish(message)

    def _report_lag(self, lag_s: float) -> None:
        self.get_logger().warning(
            f"playback fell {lag_s:.1f} s behind and continues from there: reading the recording or publishing "
            "is too slow for this rate",
            throttle_duration_sec=5.0,
        )

    def _wait_until_acknowledged(self) -> None:
        end_s = time.monotonic() + (self._acknowledged_within_s or float("inf"))
        for output in self._outputs.values():
            while not (self._is_destroyed or output.wait_for_all_acked(Duration(seconds=0.1))):
                if time.monotonic() > end_s:
                    self.get_logger().warning(
                        f"not every subscriber of {output.topic_name} has acknowledged all messages"
                    )
                    break

    def destroy_node(self) -> None:
        """Stop playing, close the bag, and destroy the node."""
        self._is_destroyed = True
        self._playback.stop()
        self._thread.join(_JOIN_TIMEOUT_S)
        if not self._thread.is_alive():
            self._bag.close()
        super().destroy_node()


def _end(_: int, frame: FrameType | None) -> None:
    """Raise SystemExit, so that temporary files of a compressed bag are removed."""
    if is_importing(frame):  # not every import lets an exception through
        os._exit(0)
    sys.exit(0)


def main() -> None:
    """Run the executable `bag_player`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    own, sys.argv[1:] = without_ros_arguments(sys.argv[1:])
    arguments = parse(own)
    ended: Future[int] = Future()
    try:
        bag = Bag(arguments.bag)
        for warning in bag.new_warnings():
            print(f"bag_player: warning: {warning}", file=sys.stderr)
        options = playback_options(arguments, bag.topics)

        def player() -> BagPlayer:
            return BagPlayer(
                bag,
                options,
                ended,
                remappings=arguments.remap,
                wait_for_subscribers=arguments.wait_for_subscribers,
                acknowledged_within_s=arguments.wait_for_all_acked / 1000,
            )

        run(player, ended)
    except BagError as error:
        print(f"bag_player: {error}", file=sys.stderr)
        sys.exit(_FAILED)
