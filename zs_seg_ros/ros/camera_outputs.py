# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The publishers of one camera, created from a table of output topics.

A new output topic is one more row in `_OUTPUTS` and one function that makes its message from a scene.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

from rclpy.lifecycle import LifecycleNode, LifecycleState
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from zs_seg_ros.msg import ObjectFeatures, ObjectMaskArray
from zs_seg_ros.requested_outputs import RequestedOutputs
from zs_seg_ros.ros.conversions import header_of, header_of_positions, time_message
from zs_seg_ros.ros.diagnostics import WARN, Problem
from zs_seg_ros.ros.embed_service import features_message
from zs_seg_ros.ros.parameters.node_parameters import CameraParameters
from zs_seg_ros.ros.qos import (
    LATCHED,
    NEWEST,
    NO_PUBLISHER_EVENTS,
    RESULTS,
    VISUALISATION,
    incompatible_subscribers,
)
from zs_seg_ros.ros.scene_messages import (
    compressed_overlay_message,
    label_encoding,
    markers_message,
    overlay_message,
    points_message,
    published_segmentation,
)
from zs_seg_ros.ros.serialised_scenes import (
    serialised_class_mask,
    serialised_image,
    serialised_instances,
    serialised_objects,
)
from zs_seg_ros.ros.vision_messages import (
    Detection2DArray,
    Detection3DArray,
    LabelInfo,
    detections_3d_message,
    detections_message,
)
from zs_seg_ros.types import Scene, size_of

AlsoRequested = Callable[[str], RequestedOutputs | None]


@dataclass(frozen=True)
class Output:
    """One output topic, `~/CAM/<topic>`.

    message_type: None where its package is not installed. requires: the stages after segmentation that its message
    needs. message: makes it from a scene, serialised or not; None when the scene has nothing to publish on it.
    only_with_depth: whether cameras without depth lack the topic.
    """

    topic: str
    message_type: Any
    qos: QoSProfile
    requires: RequestedOutputs
    message: Callable[[Scene], Any]
    only_with_depth: bool = False

    def exists(self, depth: bool) -> bool:
        """Return whether a camera has the topic: its message type is installed, and depth is there if it needs it."""
        return self.message_type is not None and (depth or not self.only_with_depth)


def _label(scene: Scene) -> bytes:
    label = published_segmentation(scene).label
    return serialised_image(label, label_encoding(label), header_of(scene.frame))


def _confidence(scene: Scene) -> bytes:
    confidence = published_segmentation(scene).confidence
    return serialised_image(confidence, "mono8", header_of(scene.frame))


def _objects(scene: Scene) -> bytes:
    return serialised_objects(
        scene.objects,
        size_of(scene.frame.image),
        scene.vocabulary,
        header_of_positions(scene),
        time_message(scene.inferred_stamp_ns),
    )


def _points(scene: Scene) -> PointCloud2 | None:
    return None if scene.cloud is None else points_message(scene.cloud, header_of_positions(scene))


_PIXELS = RequestedOutputs()
_OBJECTS = RequestedOutputs(objects=True)
_OBJECTS_IN_3D = RequestedOutputs(objects=True, surfaces=True)
_CLOUD = RequestedOutputs(objects=True, cloud=True)
_FEATURES = RequestedOutputs(objects=True, features=True)

_OUTPUTS = (
    Output("label", Image, RESULTS, _PIXELS, _label),
    Output("confidence", Image, RESULTS, _PIXELS, _confidence),
    Output("objects", ObjectMaskArray, RESULTS, _OBJECTS_IN_3D, _objects),
    Output("features", ObjectFeatures, RESULTS, _FEATURES, features_message),
    Output("overlay", Image, VISUALISATION, _OBJECTS, overlay_message),
    Output(
        "overlay/compressed", CompressedImage, VISUALISATION, _OBJECTS, compressed_overlay_message
    ),
    Output("instances", Image, RESULTS, _OBJECTS, serialised_instances),
    Output("detections", Detection2DArray, RESULTS, _OBJECTS_IN_3D, detections_message),
    Output(
        "detections_3d",
        Detection3DArray,
        RESULTS,
        _OBJECTS_IN_3D,
        detections_3d_message,
        only_with_depth=True,
    ),
    Output("points", PointCloud2, VISUALISATION, _CLOUD, _points, only_with_depth=True),
    Output("markers", MarkerArray, NEWEST, _OBJECTS_IN_3D, markers_message, only_with_depth=True),
)


class CameraOutputs:
    """Owns the publishers of one camera, from configure to cleanup. Thread-safe.

    After `destroy` no stages are requested and `publish` has no effect, since inference on a frame may outlast
    its camera. enabled: while it is false, the same holds.
    """

    def __init__(
        self, node: LifecycleNode, camera: CameraParameters, also_requested: AlsoRequested
    ) -> None:
        """Create the publishers. also_requested: the stages that others need of a camera, beside its subscribers."""
        self.enabled = True
        self._node = node
        self._also_requested = also_requested
        self._camera = camera.name
        self._lock = threading.Lock()
        mask_of_classes = partial(serialised_class_mask, names=frozenset(camera.mask_classes))
        mask = Output("mask", Image, RESULTS, _PIXELS, mask_of_classes)
        self._outputs = [output for output in (*_OUTPUTS, mask) if output.exists(camera.depth)]
        self._publishers = {
            output.topic: self._publisher(output.message_type, output.topic, output.qos)
            for output in self._outputs
        }
        self._subscribed: tuple[Output, ...] = ()  # when `requested` looked last
        self._requested: RequestedOutputs | None = None  # then
        self._looked_at_s = -math.inf
        self._label_info = (
            None if LabelInfo is None else self._publisher(LabelInfo, "label_info", LATCHED)
        )

    def _publisher(self, message_type: Any, topic: str, qos: QoSProfile) -> Any:
        return self._node.create_lifecycle_publisher(
            message_type, f"~/{self._camera}/{topic}", qos, event_callbacks=NO_PUBLISHER_EVENTS
        )

    def resolved(self, topic: str) -> str:
        """Return the full name of an output topic."""
        return self._node.resolve_topic_name(f"~/{self._camera}/{topic}")

    def enable(self, state: LifecycleState) -> None:
        """Activate the publishers; needed for a camera that is added while the node is active."""
        for publisher in self._all_publishers():
            publisher.on_activate(state)

    def destroy(self) -> None:
        """Destroy the publishers permanently."""
        with self._lock:
            for publisher in self._all_publishers():
                self._node.destroy_lifecycle_publisher(publisher)
            self._publishers, self._subscribed, self._label_info = {}, (), None
            self._requested = None

    def _all_publishers(self) -> list[Any]:
        return [p for p in (*self._publishers.values(), self._label_info) if p is not None]

    def requested(self, age_s: float = 0.0) -> RequestedOutputs | None:
        """Return the stages that subscribers and others need; None without any of them.

        age_s: a look that is no older counts. Each image is such a look.
        """
        if not self.enabled:
            return None
        now_s = time.monotonic()
        if now_s - self._looked_at_s <= age_s:
            return self._requested
        with self._lock:
            self._subscribed = tuple(o for o in self._outputs if self._has_subscribers(o))
            requests = [output.requires for output in self._subscribed]
        also = self._also_requested(self._camera)
        if also is not None:
            requests.append(also)
        self._requested = reduce(RequestedOutputs.__or__, requests) if requests else None
        self._looked_at_s = now_s
        return self._requested

    def publish(self, scene: Scene) -> None:
        """Publish on each topic that had subscribers at the last look and whose stages ran for this scene.

        A subscriber that appeared after inference began gets the message of the next frame.
        """
        for output in self._subscribed:
            if not scene.frame.requested.covers(output.requires):
                continue
            message = output.message(scene)
            if message is None:
                continue
            with self._lock:
                if output.topic in self._publishers and self.enabled:
                    self._publishers[output.topic].publish(message)

    def _has_subscribers(self, output: Output) -> bool:
        publisher = self._publishers.get(output.topic)
        return publisher is not None and publisher.get_subscription_count() > 0

    def publish_label_info(self, message: Any) -> None:
        """Publish the latched list of names; without effect where vision_msgs is not installed."""
        with self._lock:
            if self._label_info is not None:
                self._label_info.publish(message)

    def problems(self) -> list[Problem]:
        """List the outputs that a subscriber cannot receive because its QoS is incompatible."""
        return [
            Problem(
                WARN,
                f"QoS mismatch: {', '.join(names)} receives nothing on {topic}, because it requests more than is "
                "offered; let it subscribe best effort and volatile",
            )
            for topic, matched in self._matched()
            if (names := incompatible_subscribers(self._node, topic, matched))
        ]

    def _matched(self) -> list[tuple[str, int]]:
        """Return the full name of each topic, and how many subscribers receive it."""
        with self._lock:
            publishers = self._publishers.items()
            return [(self.resolved(topic), p.get_subscription_count()) for topic, p in publishers]
