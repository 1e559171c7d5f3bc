# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The other side of the node: a planner that shows it images, changes its words and reads its answers."""

from __future__ import annotations

import threading
import time
import traceback
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from numpy.typing import NDArray
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    ListParameters,
    SetParametersAtomically,
)
from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor, MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from vision_msgs.msg import Detection2DArray, Detection3DArray
from visualization_msgs.msg import MarkerArray

from zs_seg_ros import msg, srv
from zs_seg_ros.ros.node import SegmentationNode
from zs_seg_ros.ros.repeated_request import RepeatedRequest
from zs_seg_ros.segmenters.fake import PALETTE

TIMEOUT_S = 40.0
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
OUTPUT_TYPES = {
    "objects": msg.ObjectMaskArray,
    "features": msg.ObjectFeatures,
    "points": PointCloud2,
    "markers": MarkerArray,
    "detections": Detection2DArray,
    "detections_3d": Detection3DArray,
    "overlay/compressed": CompressedImage,
}
ITEM_TYPES = {"mono8": "u1", "mono16": "<u2", "rgb8": "u1", "32SC1": "<i4"}

Answer = TypeVar("Answer")


def wait_until(condition: Callable[[], Answer], what: str, timeout_s: float = TIMEOUT_S) -> Answer:
    """What `condition` returns as soon as that is true."""
    end = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < end, f"waited {timeout_s:.0f} s in vain for {what}"
        time.sleep(0.002)
    return answer


# --- images and messages ---


def stripes(*colours: str, height: int = 24, width: int = 16) -> NDArray[np.uint8]:
    """Upright stripes of palette colours, each `width` pixels wide."""
    row = np.repeat([PALETTE[colour] for colour in colours], width, axis=0)
    return np.broadcast_to(row.astype(np.uint8), (height, *row.shape))


def image_message(image: NDArray[Any], encoding: str = "rgb8", frame_id: str = "optical") -> Image:
    """A message of its own time, without row padding."""
    height, width = image.shape[:2]
    message = Image(height=height, width=width, encoding=encoding, step=image.nbytes // height)
    message.data = array("B", image.tobytes())
    message.header.frame_id = frame_id
    stamp(message, time.time_ns())
    return message


def stamp(message: Image | CompressedImage, time_ns: int) -> None:
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(time_ns, 10**9)


def pixels(message: Image) -> NDArray[Any]:
    """(H, W) or (H, W, 3) of a message that must not have row padding."""
    item_type = np.dtype(ITEM_TYPES[message.encoding])
    channels = 3 if message.encoding == "rgb8" else 1
    assert message.step == message.width * channels * item_type.itemsize
    shape = (message.height, message.width, channels)[: 3 if channels == 3 else 2]
    return np.frombuffer(message.data, item_type).reshape(shape)


def target(name: str, *prompts: str, threshold: float = 0.0) -> msg.TargetClass:
    return msg.TargetClass(name=name, prompts=list(prompts), threshold=threshold)


def header_of(message: Any) -> Any:
    """The header of an output; an array of markers has one in each marker."""
    return message.markers[0].header if isinstance(message, MarkerArray) else message.header


@contextmanager
def repeating(action: Callable[[], None], rate_hz: float) -> Iterator[None]:
    """While the block runs, in a thread of its own."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(1 / rate_hz):
            action()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


# --- the planner ---


class Planner:
    """A node of its own, in a thread of its own. Everything waits until it is matched or answered.

    under_test: the node, where it is in this process: matching is then waited for at both ends.
    """

    def __init__(self, of: str = "zs_seg", under_test: Node | None = None) -> None:
        self.of = of
        self._under_test = under_test
        self.node = rclpy.create_node("planner")
        self._clients: dict[str, Any] = {}
        self._publishers: dict[str, Any] = {}
        self._received: dict[str, list[Any]] = defaultdict(list)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._end = Future()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self.listen("/diagnostics", DiagnosticArray, 10, matched=False)

    def _spin(self) -> None:
        while not self._end.done():
            with suppress(InvalidHandle):  # an entity was destroyed during the wait
                self._executor.spin_until_future_complete(self._end)

    def close(self) -> None:
        # Shutting an executor down destroys what its spin waits for: spinning ends before.
        self._end.set_result(None)
        self._thread.join()
        self._executor.shutdown()
        self.node.destroy_node()

    def ask(self, service_type: Any, name: str, request: Any) -> Any:
        """The future answer of a service of the node under test."""
        if name not in self._clients:
            self._clients[name] = self._client(service_type, name)
        client = self._clients[name]
        assert client.wait_for_service(TIMEOUT_S), f"there is no service {name}"
        return client.call_async(request)

    def _client(self, service_type: Any, name: str) -> Any:
        """A client that the node under test has discovered, since it has answered a newer one (see RepeatedRequest)."""
        client = self.node.create_client(service_type, f"/{self.of}/{name}")
        if self._under_test is not None:  # of our own participant: known at once
            return client
        newer = self.node.create_client(GetParameters, f"/{self.of}/get_parameters")
        probe = RepeatedRequest(newer, GetParameters.Request())
        assert probe.wait(TIMEOUT_S) is not None, f"no answer of {self.of}"
        self.node.destroy_client(newer)
        return client

    def call(self, service_type: Any, name: str, request: Any) -> Any:
        """The answer of a service of the node under test."""
        future = self.ask(service_type, name, request)
        wait_until(future.done, f"the answer of {name}")
        return future.result()

    # images and results

    def send(self, message: Image | CompressedImage, camera: str = "camera", qos: Any = 10) -> None:
        """Publish an image once the node listens."""
        suffix = "image_raw" if isinstance(message, Image) else "image_raw/compressed"
        self.publish(f"/{camera}/{suffix}", message, qos)

    def publish(self, topic: str, message: Any, qos: Any = 10) -> None:
        """Publish a message on any topic, once the node subscribes to it."""
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(type(message), topic, qos)
        publisher = self._publishers[topic]
        wait_until(publisher.get_subscription_count, f"a subscription to {topic}")
        wait_until(lambda: self._receives(topic), f"the subscription to {topic} to be matched")
        publisher.publish(message)

    def _receives(self, topic: str) -> bool:
        """Whether a subscription of the node under test knows a publisher, which may be later than the reverse."""
        if self._under_test is None:
            return True
        with suppress(InvalidHandle):  # it is being replaced
            return any(
                subscription.get_publisher_count()
                for subscription in self._under_test.subscriptions
                if subscription.topic_name == topic
            )
        return False

    def depth_of_subscription(self, topic: str) -> int:
        """How many messages of a topic the node under test keeps; 0 while it does not subscribe to it."""
        assert self._under_test is not None
        subscriptions = list(self._under_test.subscriptions)
        depths = [s.qos_profile.depth for s in subscriptions if s.topic_name == topic]
        return int(depths[0]) if depths else 0

    def listen(self, topic: str, message_type: Any, qos: Any, *, matched: bool = True) -> list[Any]:
        """The messages of a topic, oldest first; a list that grows."""
        if topic not in self._received:
            received = self._received[topic]
            self.subscribe(topic, message_type, qos, received.append, matched=matched)
        return self._received[topic]

    def subscribe(
        self, topic: str, message_type: Any, qos: Any, callback: Any, *, matched: bool = True
    ) -> None:
        subscription = self.node.create_subscription(message_type, topic, callback, qos)
        if matched:
            wait_until(subscription.get_publisher_count, f"a publisher of {topic}")
            wait_until(lambda: self._publishes(topic), f"the publisher of {topic} to be matched")

    def _publishes(self, topic: str) -> bool:
        """Whether no publisher of the node under test lacks a subscription to this topic."""
        if self._under_test is None:
            return True
        with suppress(InvalidHandle):
            return all(
                publisher.get_subscription_count()
                for publisher in self._under_test.publishers
                if publisher.topic_name == topic
            )
        return False

    def outputs(self, kind: str = "label", camera: str = "camera") -> list[Any]:
        """The messages of one output, from label to markers."""
        qos = qos_profile_sensor_data if kind.startswith(("overlay", "points")) else 5
        message_type = OUTPUT_TYPES.get(kind, Image)
        return self.listen(f"/{self.of}/{camera}/{kind}", message_type, qos)

    def send_depth(self, depth: Image, info: CameraInfo, camera: str = "camera") -> None:
        """Publish a camera_info and then a depth image, once the node listens."""
        for name, message in (("camera_info", info), ("depth/image_raw", depth)):
            self.publish(f"/{camera}/{name}", message)

    def answer_to(
        self, message: Image | CompressedImage, kind: str = "label", camera: str = "camera"
    ) -> Any:
        """Publish an image and wait for the output with its stamp."""
        received = self.outputs(kind, camera)
        self.send(message, camera)
        return self.output_with_stamp_of(message, received)

    @staticmethod
    def output_with_stamp_of(message: Any, received: list[Any]) -> Any:
        found = wait_until(
            lambda: [m for m in received if header_of(m).stamp == message.header.stamp],
            f"a result with the stamp {message.header.stamp}",
        )
        return found[0]

    def label_of(self, image: NDArray[Any], camera: str = "camera") -> NDArray[Any]:
        """Show an image and return the label image of it."""
        return pixels(self.answer_to(image_message(image), camera=camera))

    @staticmethod
    def wait_for_more(received: list[Any], than: int) -> list[Any]:
        """A list of messages, once it has more than `than`."""
        return wait_until(lambda: received if len(received) > than else [], "another message")

    # vocabulary

    def set_vocabulary(self, *classes: str | msg.TargetClass) -> srv.SetVocabulary.Response:
        future = self.ask_vocabulary(*classes)
        wait_until(future.done, "the answer of set_vocabulary")
        return future.result()

    def ask_vocabulary(self, *classes: str | msg.TargetClass) -> Any:
        """The future answer to a new vocabulary."""
        targets = [target(c) if isinstance(c, str) else c for c in classes]
        request = srv.SetVocabulary.Request(classes=targets)
        return self.ask(srv.SetVocabulary, "set_vocabulary", request)

    def get_vocabulary(self) -> msg.Vocabulary:
        request = srv.GetVocabulary.Request()
        return self.call(srv.GetVocabulary, "get_vocabulary", request).vocabulary

    def ids(self) -> dict[str, int]:
        """Label value of each name in force."""
        vocabulary = self.get_vocabulary()
        return {c.name: i for c, i in zip(vocabulary.classes, vocabulary.ids, strict=True)}

    # lifecycle and parameters

    @property
    def state(self) -> str:
        return str(self.call(GetState, "get_state", GetState.Request()).current_state.label)

    def wait_for_state(self, state: str) -> None:
        wait_until(lambda: self.state == state, f"the state {state}")

    def change_state(self, transition: str) -> bool:
        """configure, activate, deactivate, cleanup or shutdown; whether that succeeded."""
        future = self.ask_for_state(transition)
        wait_until(future.done, f"the answer to {transition}")
        return bool(future.result().success)

    def ask_for_state(self, transition: str) -> Any:
        """The future answer to a transition."""
        request = ChangeState.Request(transition=Transition(label=transition))
        return self.ask(ChangeState, "change_state", request)

    def set_parameters(self, values: Mapping[str, Any]) -> SetParametersResult:
        """All or nothing. A value may be a Parameter, where its type cannot be told from the value."""
        parameters = [
            v if isinstance(v, Parameter) else Parameter(k, value=v) for k, v in values.items()
        ]
        request = SetParametersAtomically.Request(
            parameters=[parameter.to_parameter_msg() for parameter in parameters]
        )
        return self.call(SetParametersAtomically, "set_parameters_atomically", request).result

    def parameter(self, name: str) -> Any:
        answer = self.call(GetParameters, "get_parameters", GetParameters.Request(names=[name]))
        return parameter_value_to_python(answer.values[0])

    def parameter_names(self) -> list[str]:
        """Of the package's own parameters."""
        answer = self.call(ListParameters, "list_parameters", ListParameters.Request())
        others = ("use_sim_time", "start_type_description_service", "qos_overrides.")
        return [name for name in answer.result.names if not name.startswith(others)]

    def describe_parameters(self, names: list[str]) -> list[ParameterDescriptor]:
        request = DescribeParameters.Request(names=names)
        return list(self.call(DescribeParameters, "describe_parameters", request).descriptors)

    # diagnostics

    def diagnosis(
        self, entry: str, condition: Callable[[DiagnosticStatus], Any], what: str
    ) -> DiagnosticStatus:
        """The next status of 'model' or of a camera for which the condition holds."""
        arrays = self._received["/diagnostics"]
        first = len(arrays)

        def fitting() -> list[DiagnosticStatus]:
            new = [status for array in arrays[first:] for status in array.status]
            return [s for s in new if s.name.endswith(f": {entry}") and condition(s)]

        try:
            return wait_until(fitting, f"diagnostics of {entry} with {what}")[0]
        except AssertionError as error:
            newest = [(s.name, s.message) for s in arrays[-1].status] if arrays else "nothing"
            raise AssertionError(f"{error}; the newest say {newest}") from None

    def diagnosis_saying(self, entry: str, *words: str) -> DiagnosticStatus:
        """The next status whose message has all these words."""
        return self.diagnosis(
            entry, lambda status: all(w in status.message for w in words), repr(words)
        )


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


# --- the node under test ---


def _spin(executor: Executor, stop: threading.Event, let_out: list[str]) -> None:
    while not stop.is_set():
        try:
            executor.spin()
        except Exception:  # the executable survives these in the same way
            report = traceback.format_exc()
            # Others are rclpy's own: a race.
            if "zs_seg_ros/ros/" in report:
                let_out.append(report)


@contextmanager
def running_node(
    parameters: Mapping[str, Any] | None = None, state: str = "active"
) -> Iterator[Planner]:
    """A node with the model `fake`, brought to `state` ('' to leave that to it), and a planner beside it.

    One at a time: a second node would have the same name. No callback of the node may let an exception out.
    """
    requested = {"model": "fake", "autostart": state == "active"} | dict(parameters or {})
    overrides = [Parameter(name, value=value) for name, value in requested.items()]
    node = SegmentationNode(parameter_overrides=overrides)
    for timer in node.timers:  # diagnostics come once a second; tests need not wait that long
        timer.timer_period_ns //= 10
    executor, stop = MultiThreadedExecutor(num_threads=6), threading.Event()
    executor.add_node(node)
    let_out: list[str] = []
    thread = threading.Thread(target=_spin, args=(executor, stop, let_out), daemon=True)
    thread.start()
    planner = Planner(under_test=node)
    try:
        if state == "inactive":
            assert planner.change_state("configure")
        if state:
            planner.wait_for_state(state)
        yield planner
        assert not let_out, let_out[0]
    finally:
        planner.close()
        stop.set()
        executor.shutdown(timeout_sec=5.0)
        thread.join(5.0)
        node.destroy_node()
