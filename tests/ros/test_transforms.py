# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Transforms from /tf: by tf2_ros where it is installed, by the package's own buffer elsewhere, or not at all."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import Transform as TransformMessage
from geometry_msgs.msg import TransformStamped
from panning import HEIGHT, WIDTH, iou, poster, view
from planner import Planner, image_message, pixels, running_node, wait_until
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from zs_seg_ros.images.message_images import stamp_ns
from zs_seg_ros.perception.propagation import Propagator
from zs_seg_ros.ros import transforms
from zs_seg_ros.ros.transforms import CameraPoses, Transforms
from zs_seg_ros.segmenters.fake import FakeSegmenter
from zs_seg_ros.types import Frame, Segmentation

SECOND = 10**9
STATIC = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def planner() -> Iterator[Planner]:
    with running_node({"autostart": False}, state="unconfigured") as planner:
        yield planner


def stamped(parent: str, child: str, stamp_ns: int, x: float) -> TransformStamped:
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, SECOND)
    message.transform.translation.x = x
    message.transform.rotation.w = 1.0
    return message


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)


def test_transforms_are_received_and_interpolated(
    planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    tf2_msgs = pytest.importorskip("tf2_msgs.msg")
    without(monkeypatch, "tf2_ros")
    tf = planner.node.create_publisher(tf2_msgs.TFMessage, "/tf", 100)
    static = planner.node.create_publisher(tf2_msgs.TFMessage, "/tf_static", STATIC)
    static.publish(tf2_msgs.TFMessage(transforms=[stamped("base", "camera", 0, 0.25)]))
    lookups = Transforms(planner.node)
    assert lookups.lookup("odom", "camera", SECOND).reason == transforms.NOT_STARTED
    lookups.start()
    try:

        def pose() -> Any:
            for at_ns, x in ((SECOND, 1.0), (3 * SECOND, 2.0)):
                message = tf2_msgs.TFMessage(transforms=[stamped("odom", "base", at_ns, x)])
                tf.publish(message)
            return lookups.lookup("odom", "camera", 2 * SECOND).pose

        np.testing.assert_allclose(wait_until(pose, "a pose").translation_m, [1.75, 0, 0])
        assert "ms older than the image" in lookups.lookup("odom", "camera", 9 * SECOND).reason
    finally:
        lookups.stop()
    assert lookups.lookup("odom", "camera", 2 * SECOND).pose is None


def test_without_packages_of_tf2_one_sentence_says_so(
    planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "tf2_ros", "tf2_msgs", "tf2_msgs.msg")
    lookups = Transforms(planner.node)
    lookups.start()
    assert not lookups.available
    assert lookups.lookup("odom", "camera", SECOND).reason == transforms.NOT_INSTALLED
    lookups.stop()


class StandInTf2:
    """What the node uses of tf2_ros, with one transform and a record of calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        module = ModuleType("tf2_ros")
        error = type("TransformException", (Exception,), {})

        class Buffer:
            def __init__(self, cache_time: Any) -> None:
                record(("cache", cache_time.nanoseconds))

            def lookup_transform(self, target: str, source: str, time: Any) -> Any:
                record((target, source, time.nanoseconds))
                if target == "map":
                    raise error("map does not exist")
                transform = TransformMessage()
                transform.translation.y = 3.0
                transform.rotation.w = 1.0
                return SimpleNamespace(transform=transform)

            def clear(self) -> None:
                record("clear")

        class TransformListener:
            def __init__(self, buffer: Buffer, node: Any) -> None:
                record("listen")

            def unregister(self) -> None:
                record("unregister")

        record: Callable[[Any], None] = self.calls.append
        for each in (Buffer, TransformListener):
            setattr(module, each.__name__, each)
        module.TransformException = error  # type: ignore[attr-defined]
        self.module = module


def test_tf2_ros_is_used_where_it_is_installed(
    planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    tf2 = StandInTf2()
    monkeypatch.setitem(sys.modules, "tf2_ros", tf2.module)
    lookups = Transforms(planner.node)
    lookups.start()
    pose = lookups.lookup("odom", "camera", 5).pose
    assert pose is not None and pose.translation_m.tolist() == [0, 3, 0]
    assert (pose.rotation == np.eye(3)).all()
    missing = lookups.lookup("map", "camera", 6)
    assert missing.pose is None and "map does not exist" in missing.reason
    lookups.stop()
    assert tf2.calls == [
        ("cache", 10 * SECOND), "listen", ("odom", "camera", 5), ("map", "camera", 6), "unregister",
    ]  # fmt: skip


def test_a_clock_that_jumps_back_clears_the_buffer(
    planner: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    tf2 = StandInTf2()
    monkeypatch.setitem(sys.modules, "tf2_ros", tf2.module)
    times_ns = iter([100, 90, 95])
    clock = SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=next(times_ns)))
    lookups = Transforms(SimpleNamespace(get_clock=lambda: clock))  # type: ignore[arg-type]
    lookups.start()
    for _ in range(3):
        lookups.lookup("odom", "camera", 5)
    assert [call == "clear" for call in tf2.calls].count(True) == 1
    assert tf2.calls.index("clear") == 3


class Late:
    """Transforms that are known from the third lookup on."""

    available = True

    def __init__(self, known_from: int) -> None:
        self.lookups = 0
        self._known_from = known_from

    def lookup(self, *_: Any) -> transforms.Lookup:
        self.lookups += 1
        known = self.lookups >= self._known_from
        pose = transforms.pose_of(transforms.Transform((0, 0, 0, 1), (1, 2, 3)))
        return transforms.Lookup(pose if known else None, "" if known else "late")


def test_a_frame_waits_a_moment_for_its_transform() -> None:
    frame = Frame("camera", view(0), stamp_ns=5, frame_id="optical")
    poses = CameraPoses(Late(known_from=3), "odom")  # type: ignore[arg-type]
    assert poses.lookup(frame).pose is not None


def test_after_a_wait_in_vain_other_frames_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = Frame("camera", view(0), stamp_ns=5, frame_id="optical")
    late = Late(known_from=10**9)
    poses = CameraPoses(late, "odom")  # type: ignore[arg-type]
    assert poses.lookup(frame).reason == "late"
    waited = late.lookups
    assert waited > 1
    assert poses.lookup(frame).reason == "late"
    assert late.lookups == waited + 1
    monkeypatch.setattr(transforms, "RETRY_S", 0.0)
    other = CameraPoses(late, "odom")  # type: ignore[arg-type]
    other.lookup(frame)
    waited = late.lookups
    other.lookup(frame)
    assert late.lookups > waited + 1


# --- the node ---


class DepthCamera:
    """A camera with depth of 2 m everywhere, that pans."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self.shift = 0

    def send(self) -> Image:
        self.shift = (self.shift + 1) % 60
        message = image_message(view(self.shift), frame_id="optical")
        depth = image_message(np.full((HEIGHT, WIDTH), 2000, np.uint16), "16UC1")
        depth.header = message.header
        k = [150.0, 0.0, WIDTH / 2, 0.0, 150.0, HEIGHT / 2, 0.0, 0.0, 1.0]
        self._planner.send_depth(depth, CameraInfo(height=HEIGHT, width=WIDTH, k=k))
        self._planner.send(message)
        time.sleep(0.03)
        return message


AUTO = {"classes": ["red"], "camera.depth": True, "propagation": "auto", "fixed_frame": "map"}


def test_a_missing_transform_is_reported_and_results_follow_the_flow() -> None:
    with running_node(AUTO) as planner:
        labels, camera = planner.outputs(), DepthCamera(planner)
        wait_until(lambda: camera.send() and labels, "the first result")
        for _ in range(5):
            message, shift = camera.send(), camera.shift
        label = planner.output_with_stamp_of(message, labels)
        assert iou(pixels(label), poster(shift)) > 0.7
        words = "results are carried by optical flow alone, without the camera's pose"
        status = planner.diagnosis_saying("camera", words)
        assert status.level == status.WARN
        assert "no frame 'map' on /tf" in status.message or "not installed" in status.message


def test_poses_reach_the_propagation_and_the_mode_flow_needs_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tf2_msgs = pytest.importorskip("tf2_msgs.msg")
    observed: list[Frame] = []
    observe = Propagator.observe

    def noted(propagator: Propagator, frame: Frame) -> None:
        observed.append(frame)
        observe(propagator, frame)

    monkeypatch.setattr(Propagator, "observe", noted)
    with running_node(AUTO) as planner:
        tf = planner.node.create_publisher(tf2_msgs.TFMessage, "/tf", 100)
        labels, camera = planner.outputs(), DepthCamera(planner)

        def with_pose() -> Any:
            camera.send()
            # Half a second ahead, so that an image need not wait for the transform that follows it.
            message = stamped("map", "optical", time.time_ns() + SECOND // 2, 7.5)
            tf.publish(tf2_msgs.TFMessage(transforms=[message]))
            return labels and observed and observed[-1].pose

        pose = wait_until(with_pose, "a frame with a pose")
        np.testing.assert_allclose(pose.translation_m, [7.5, 0, 0])
        assert planner.set_parameters({"propagation": "flow"}).successful
        wait_until(lambda: planner.node.count_subscribers("/tf") == 0, "the end of /tf")
        camera.send()
        wait_until(lambda: camera.send() and observed[-1].pose is None, "a frame without a pose")


def test_poses_that_come_later_than_the_next_image_are_used_for_what_the_model_saw(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tf2_msgs = pytest.importorskip("tf2_msgs.msg")
    observed: dict[int, Frame] = {}
    updated: list[Frame] = []
    observe, update = Propagator.observe, Propagator.update

    def noted(propagator: Propagator, frame: Frame) -> None:
        observed[frame.stamp_ns] = frame
        observe(propagator, frame)

    def noted_update(propagator: Propagator, frame: Frame, result: Segmentation) -> None:
        updated.append(frame)
        update(propagator, frame, result)

    monkeypatch.setattr(
        "zs_seg_ros.segmenters.fake.FakeSegmenter", lambda: FakeSegmenter(delay_s=0.3)
    )
    monkeypatch.setattr(Propagator, "observe", noted)
    monkeypatch.setattr(Propagator, "update", noted_update)
    with running_node(AUTO) as planner:
        tf = planner.node.create_publisher(tf2_msgs.TFMessage, "/tf", 100)
        labels, camera = planner.outputs(), DepthCamera(planner)
        sent: list[int] = []

        def with_the_pose_of_the_image_before() -> Any:
            sent.append(stamp_ns(camera.send().header.stamp))
            if len(sent) > 1:
                message = stamped("map", "optical", sent[-2], 0.25)
                tf.publish(tf2_msgs.TFMessage(transforms=[message]))
            return [
                frame
                for frame in updated
                if frame.pose is not None and observed[frame.stamp_ns].pose is None
            ]

        [late, *_] = wait_until(with_the_pose_of_the_image_before, "a pose that came late")
        assert late.pose is not None and late.pose.translation_m.tolist() == [0.25, 0, 0]
        words = "results are carried by optical flow alone, without the camera's pose"
        planner.diagnosis_saying("camera", words)
        wait_until(lambda: with_the_pose_of_the_image_before() and labels, "a result")
        message, shift = camera.send(), camera.shift
        label = pixels(planner.output_with_stamp_of(message, labels))
        assert iou(label, poster(shift)) > 0.7


@pytest.mark.parametrize(
    "parameters", [{}, {"propagation": "flow"}, {"propagation": "auto", "camera.depth": False}]
)
def test_tf_is_not_subscribed_to_where_it_is_not_needed(parameters: dict[str, Any]) -> None:
    requested = AUTO | {"propagation": "off"} | parameters
    with running_node(requested) as planner:
        planner.outputs()
        planner.diagnosis("camera", lambda status: True, "anything")
        assert planner.node.count_subscribers("/tf") == 0
