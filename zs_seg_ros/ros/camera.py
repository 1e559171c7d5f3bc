"""The topics of one camera: what is subscribed to and what is published."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from zs_seg_ros.overlay import draw_overlay
from zs_seg_ros.ros.conversions import (
    confidence_message,
    header_of,
    image_message,
    label_message,
    picture_from_compressed,
    picture_from_image,
)
from zs_seg_ros.ros.diagnostics import (
    ERROR,
    OLD_FRAME_MS,
    SILENCE_S,
    WARN,
    CameraHealth,
    Problem,
)
from zs_seg_ros.ros.parameters import CameraParameters
from zs_seg_ros.ros.qos import FOR_PEOPLE, LATCHED, RESULTS, following, newest_image
from zs_seg_ros.types import Picture, Scene

OnPicture = Callable[["CameraTopics", Any, Callable[[], Picture]], None]

try:
    from vision_msgs.msg import LabelInfo
except ImportError:  # not among the wheels on PyPI
    LabelInfo = None


class CameraTopics:
    """Owns the subscription and the publishers of one camera.

    The publishers live from configure to cleanup, the subscription from activate to deactivate.
    """

    def __init__(self, node: LifecycleNode, camera: CameraParameters) -> None:
        self.name = camera.name
        self.health = CameraHealth()
        self._node = node
        self._camera = camera
        self._group = MutuallyExclusiveCallbackGroup()
        self._subscription: Any = None
        self._reliability: ReliabilityPolicy | None = None
        suffix = "image_raw/compressed" if camera.transport == "compressed" else "image_raw"
        self.topic = node.resolve_topic_name(f"/{camera.name}/{suffix}")
        self._label = self._publisher(Image, "label", RESULTS)
        self._confidence = self._publisher(Image, "confidence", RESULTS)
        self._overlay = self._publisher(Image, "overlay", FOR_PEOPLE)
        self._label_info = (
            self._publisher(LabelInfo, "label_info", LATCHED) if LabelInfo is not None else None
        )

    def _publisher(self, message_type: Any, topic: str, qos: QoSProfile) -> Any:
        return self._node.create_lifecycle_publisher(message_type, f"~/{self.name}/{topic}", qos)

    def destroy(self) -> None:
        self.unsubscribe()
        for publisher in (self._label, self._confidence, self._overlay, self._label_info):
            if publisher is not None:
                self._node.destroy_lifecycle_publisher(publisher)

    # --- in ---

    def subscribe(self, on_picture: OnPicture) -> None:
        """Listen, with the reliability that was asked for or that the publishers offer now."""
        self.health = CameraHealth()
        self._on_picture = on_picture
        self._follow(self._wanted_reliability())

    def unsubscribe(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription, self._reliability = None, None

    def follow_publishers(self) -> None:
        """Subscribe anew when a publisher has come that offers another reliability. Called now and then."""
        if self._subscription is not None:
            self._follow(self._wanted_reliability())

    def _wanted_reliability(self) -> ReliabilityPolicy:
        if self._camera.reliability == "auto":
            return following(self._offered())
        return ReliabilityPolicy[self._camera.reliability.upper()]

    def _offered(self) -> list[ReliabilityPolicy]:
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        return [publisher.qos_profile.reliability for publisher in publishers]

    def _follow(self, reliability: ReliabilityPolicy) -> None:
        if reliability == self._reliability:
            return
        self.unsubscribe()
        compressed = self._camera.transport == "compressed"
        read = picture_from_compressed if compressed else picture_from_image
        self._subscription = self._node.create_subscription(
            CompressedImage if compressed else Image,
            self.topic,
            lambda message: self._on_picture(self, message, partial(read, message)),
            newest_image(reliability),
            callback_group=self._group,
        )
        self._reliability = reliability

    # --- out ---

    @property
    def wanted(self) -> bool:
        """Whether anybody subscribes to anything that costs time."""
        outputs = (self._label, self._confidence, self._overlay)
        return any(output.get_subscription_count() > 0 for output in outputs)

    def publish(self, scene: Scene) -> None:
        """Publish what somebody subscribes to."""
        if self._label.get_subscription_count():
            self._label.publish(label_message(scene))
        if self._confidence.get_subscription_count():
            self._confidence.publish(confidence_message(scene))
        if self._overlay.get_subscription_count():
            self._overlay.publish(self._drawn(scene))

    @staticmethod
    def _drawn(scene: Scene) -> Image:
        segmentation = scene.segmentation
        picture = draw_overlay(
            scene.frame.picture, segmentation.label, segmentation.confidence, scene.vocabulary
        )
        return image_message(picture, "rgb8", header_of(scene.frame))

    def publish_label_info(self, message: Any) -> None:
        """The latched list of names; nothing happens where vision_msgs is not installed."""
        if self._label_info is not None:
            self._label_info.publish(message)

    # --- how it is ---

    def problems(self) -> list[Problem]:
        """What is wrong with this camera while the node is active."""
        problems = []
        offered = self._offered()
        if not offered:
            problems.append(
                Problem(
                    WARN, f"nobody publishes {self.topic}: start the camera, or remap the topic"
                )
            )
        elif (
            self._reliability == ReliabilityPolicy.RELIABLE
            and following(offered) != self._reliability
        ):
            problems.append(
                Problem(
                    ERROR,
                    f"QoS mismatch: a publisher of {self.topic} is best effort and {self.name}.reliability is "
                    "reliable; set it to auto or best_effort",
                )
            )
        elif self.health.silence_s > SILENCE_S:
            problems.append(
                Problem(
                    WARN,
                    f"no image on {self.topic} for {self.health.silence_s:.0f} s: its publisher is there but silent",
                )
            )
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
