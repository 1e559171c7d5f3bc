"""The topics of one camera: what is subscribed to and what is published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode, LifecycleState
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from zs_seg_ros.images.camera_topics import image_topic
from zs_seg_ros.images.compressed_images import image_from_compressed
from zs_seg_ros.images.message_images import image_from_message
from zs_seg_ros.msg import ObjectMaskArray
from zs_seg_ros.ros.conversions import header_of
from zs_seg_ros.ros.depth_input import DepthInput
from zs_seg_ros.ros.diagnostics import OLD_FRAME_MS, WARN, CameraHealth, Problem
from zs_seg_ros.ros.followed_topic import FollowedTopic
from zs_seg_ros.ros.parameters import CameraParameters
from zs_seg_ros.ros.qos import (
    FOR_PEOPLE,
    LATCHED,
    NEWEST,
    NO_PUBLISHER_EVENTS,
    RESULTS,
    refused_subscribers,
)
from zs_seg_ros.ros.scene_messages import (
    confidence_message,
    label_message,
    markers_message,
    objects_message,
    overlay_message,
    points_message,
)
from zs_seg_ros.types import Frame, RequestedOutputs, RgbImage, Scene, size_of

OnImage = Callable[["CameraTopics", Any, Callable[[], RgbImage]], None]
"""The camera, the message, and how to read it."""

try:
    from vision_msgs.msg import LabelInfo
except ImportError:  # not among the wheels on PyPI
    LabelInfo = None

_OUTPUTS = (
    ("label", Image, RESULTS),
    ("confidence", Image, RESULTS),
    ("objects", ObjectMaskArray, RESULTS),
    ("overlay", Image, FOR_PEOPLE),
)
_OUTPUTS_WITH_DEPTH = (
    ("points", PointCloud2, FOR_PEOPLE),
    ("markers", MarkerArray, NEWEST),
)


class CameraTopics:
    """Owns the subscriptions and the publishers of one camera.

    The publishers live from configure to cleanup, the subscriptions from activate to deactivate.
    """

    def __init__(self, node: LifecycleNode, camera: CameraParameters) -> None:
        self.name = camera.name
        self.parameters = camera
        self.health = CameraHealth()
        self._node = node
        self._compressed = camera.transport == "compressed"
        group = MutuallyExclusiveCallbackGroup()
        self._images = FollowedTopic(
            node,
            image_topic(camera.name, camera.transport),
            CompressedImage if self._compressed else Image,
            camera.reliability,
            f"{camera.name}.reliability",
            group,
        )
        self.topic = self._images.topic
        self._depth = DepthInput(node, camera, group) if camera.depth else None
        outputs = _OUTPUTS + (_OUTPUTS_WITH_DEPTH if camera.depth else ())
        self._publishers = {name: self._publisher(kind, name, qos) for name, kind, qos in outputs}
        self._label_info = (
            self._publisher(LabelInfo, "label_info", LATCHED) if LabelInfo is not None else None
        )

    def _publisher(self, message_type: Any, topic: str, qos: QoSProfile) -> Any:
        return self._node.create_lifecycle_publisher(
            message_type, f"~/{self.name}/{topic}", qos, event_callbacks=NO_PUBLISHER_EVENTS
        )

    def destroy(self) -> None:
        self.unsubscribe()
        for publisher in self._all_publishers():
            self._node.destroy_lifecycle_publisher(publisher)

    def enable(self, state: LifecycleState) -> None:
        """Let the publishers of a camera that came while the node is active publish; others the node lets."""
        for publisher in self._all_publishers():
            publisher.on_activate(state)

    def _all_publishers(self) -> list[Any]:
        return [p for p in (*self._publishers.values(), self._label_info) if p is not None]

    # --- in ---

    def subscribe(
        self,
        on_image: OnImage,
        forward: Callable[[Frame], None],
        longest_side: Callable[[], int],
    ) -> None:
        """on_image is called for each image, forward for each frame of `add_frame` that is complete.

        longest_side: in pixels; what is longer is refused.
        """
        self.health = CameraHealth()
        self._forward = forward
        read = image_from_compressed if self._compressed else image_from_message
        if self._depth is not None:
            self._depth.subscribe(forward, longest_side)
        self._images.subscribe(
            lambda message: on_image(self, message, lambda: read(message, longest_side()))
        )

    def unsubscribe(self) -> None:
        self._images.unsubscribe()
        if self._depth is not None:
            self._depth.unsubscribe()

    def follow_publishers(self) -> None:
        """Subscribe anew where publishers have come that offer another reliability. Called now and then."""
        self._images.follow()
        if self._depth is not None:
            self._depth.follow()

    def add_frame(self, frame: Frame) -> None:
        """Hand a frame on, with depth when somebody wants what is made of it."""
        if self._depth is not None and (frame.requested.surfaces or frame.requested.cloud):
            self._depth.add_frame(frame)
        else:
            self._forward(frame)

    # --- out ---

    def _read_by_someone(self, *outputs: str) -> bool:
        publishers = (self._publishers.get(output) for output in outputs)
        return any(p is not None and p.get_subscription_count() > 0 for p in publishers)

    def requested(self) -> RequestedOutputs | None:
        """Which stages somebody needs; None when nobody subscribes to anything that costs time."""
        if not self._read_by_someone(*self._publishers):
            return None
        return RequestedOutputs(
            objects=self._read_by_someone("objects", "overlay", "points", "markers"),
            surfaces=self._depth is not None and self._read_by_someone("objects", "markers"),
            cloud=self._read_by_someone("points"),
        )

    def publish(self, scene: Scene) -> None:
        """Publish what somebody subscribes to and what this scene has."""
        frame, segmentation, header = scene.frame, scene.segmentation, header_of(scene.frame)
        ready: dict[str, Callable[[], Any]] = {
            "label": lambda: label_message(segmentation.label, header),
            "confidence": lambda: confidence_message(segmentation.confidence, header),
        }
        if frame.requested.objects:  # who came since gets the next frame's
            size = size_of(frame.image)
            ready["objects"] = lambda: objects_message(
                scene.objects, size, scene.vocabulary, header
            )
            ready["overlay"] = lambda: overlay_message(scene)
        if frame.requested.surfaces:
            ready["markers"] = lambda: markers_message(scene)
        if scene.cloud is not None:
            cloud = scene.cloud
            ready["points"] = lambda: points_message(cloud, header)
        for output, make in ready.items():
            if self._read_by_someone(output):
                self._publishers[output].publish(make())

    def publish_label_info(self, message: Any) -> None:
        """The latched list of names; nothing happens where vision_msgs is not installed."""
        if self._label_info is not None:
            self._label_info.publish(message)

    # --- how it is ---

    def note_depth_problem(self, text: str) -> None:
        if self._depth is not None:
            self._depth.bad_depth.note(text)

    def problems(self) -> list[Problem]:
        """What is wrong with this camera while the node is active. Called once a second."""
        problem = self._images.problem()
        problems = [] if problem is None else [problem]
        if self._depth is not None:
            problems += self._depth.problems()
        problems += self._incompatible_subscribers()
        if self.health.bad_input.recent:
            problems.append(Problem(WARN, self.health.bad_input.recent))
        age_ms = self.health.age_ms()
        if age_ms is not None and abs(age_ms) > OLD_FRAME_MS:
            problems.append(
                Problem(
                    WARN,
                    f"results are {age_ms / 1000:.1f} s behind their images' stamps: check that clocks agree, that "
                    "use_sim_time fits, and that the model is fast enough",
                )
            )
        return problems

    def _incompatible_subscribers(self) -> list[Problem]:
        return [
            Problem(
                WARN,
                f"QoS mismatch: {', '.join(names)} gets nothing of {publisher.topic_name}, because it asks for more "
                "than is offered; let it subscribe best effort and volatile",
            )
            for publisher in self._publishers.values()
            if (names := refused_subscribers(self._node, publisher.topic_name))
        ]
