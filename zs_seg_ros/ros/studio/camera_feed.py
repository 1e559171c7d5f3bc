# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Frames of one camera for the studio: each result with the image of its stamp, while a browser looks."""

from __future__ import annotations

import io
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.compressed_images import image_from_compressed
from zs_seg_ros.images.image_limits import DEFAULT_IMAGE_LIMITS
from zs_seg_ros.images.message_images import image_from_message, stamp_ns, values_from_image
from zs_seg_ros.msg import ObjectMaskArray
from zs_seg_ros.ros.camera_receiver import CameraReceiver
from zs_seg_ros.ros.qos import (
    NEWEST_IMAGE,
    NO_SUBSCRIPTION_EVENTS,
    RESULTS,
    image_subscription,
    matching_durability,
    matching_reliability,
)
from zs_seg_ros.ros.serialised_images import read
from zs_seg_ros.ros.studio.remote_node import RemoteCamera
from zs_seg_ros.studio.frames import ShownFrame, ShownObject
from zs_seg_ros.types import Box, RgbImage, size_of

_IMAGES_KEPT = 60
_RESULTS_KEPT = 8
_WITHOUT_RESULTS_S = 1.0
"""When there were no results for so long, images are shown alone."""
_JPEG_START = b"\xff\xd8"


class CameraFeed:
    """Subscribes to a camera's images and to the node's results for them, from `start` to `stop`.

    problem: why the newest image could not be read; empty without one.
    """

    def __init__(
        self, node: Node, of: str, camera: RemoteCamera, on_frame: Callable[[ShownFrame], None]
    ) -> None:
        self.camera = camera
        self.problem = ""
        self._node = node
        self._of = of
        self._on_frame = on_frame
        self._receiver = CameraReceiver(node)
        self._subscriptions: dict[str, Any] = {}
        self._images: OrderedDict[int, Any] = OrderedDict()
        self._results: OrderedDict[int, tuple[ObjectMaskArray, float]] = OrderedDict()
        self._confidences: OrderedDict[int, Any] = OrderedDict()
        self._results_s = float("-inf")
        for topic in ("confidence", "image", "objects"):  # the order in which waiting ones are read
            self._receiver.register(topic)

    def start(self, confidence: bool) -> None:
        """Subscribe, also to confidence images or to them no longer."""
        name = f"{self._of}/{self.camera.name}"
        if "objects" not in self._subscriptions:
            self._subscribe_to_images()
            self._subscribe(
                "objects", ObjectMaskArray, f"{name}/objects", RESULTS, self._on_objects
            )
        if confidence and "confidence" not in self._subscriptions:
            self._subscribe(
                "confidence", Image, f"{name}/confidence", RESULTS, self._on_confidence, raw=True
            )
        elif not confidence:
            self._unsubscribe("confidence")
            self._confidences.clear()

    def stop(self) -> None:
        """Unsubscribe from everything, permanently."""
        for topic in list(self._subscriptions):
            self._unsubscribe(topic)
        self._receiver.destroy()

    def match_publishers(self) -> None:
        """Subscribe to images anew when their publishers offer another QoS. Called once a second."""
        if "image" in self._subscriptions and self._required() != self._in_force:
            self._unsubscribe("image")
            self._subscribe_to_images()

    # --- subscriptions ---

    def _required(self) -> tuple[ReliabilityPolicy, DurabilityPolicy]:
        profiles = [
            p.qos_profile for p in self._node.get_publishers_info_by_topic(self.camera.topic)
        ]
        return (
            matching_reliability(profile.reliability for profile in profiles),
            matching_durability(profile.durability for profile in profiles),
        )

    def _subscribe_to_images(self) -> None:
        self._in_force = self._required()
        kind = CompressedImage if self.camera.transport == "compressed" else Image
        profile = image_subscription(*self._in_force, NEWEST_IMAGE)
        self._subscribe("image", kind, self.camera.topic, profile, self._on_image, raw=True)

    def _subscribe(
        self, key: str, kind: Any, topic: str, profile: Any, callback: Any, raw: bool = False
    ) -> None:
        subscription = self._node.create_subscription(
            kind,
            topic,
            lambda _: None,  # the receiver calls the callback
            profile,
            callback_group=self._receiver.callback_group,
            event_callbacks=NO_SUBSCRIPTION_EVENTS,
            raw=raw,
        )
        self._subscriptions[key] = subscription
        self._receiver.receive(key, subscription, callback)

    def _unsubscribe(self, key: str) -> None:
        if (subscription := self._subscriptions.pop(key, None)) is not None:
            self._receiver.stop(key)
            self._node.destroy_subscription(subscription)

    # --- in the receiver's thread ---

    def _on_image(self, serialised: bytes) -> None:
        kind = CompressedImage if self.camera.transport == "compressed" else Image
        try:
            message = read(serialised, kind)
            stamp = stamp_ns(message.header.stamp)
        except ImageError as error:
            self.problem = str(error)
            return
        _keep(self._images, stamp, message, _IMAGES_KEPT)
        if stamp in self._results:
            self._emit(stamp)
        elif time.monotonic() - self._results_s > _WITHOUT_RESULTS_S:
            self._show(stamp, message, (), None, None)

    def _on_objects(self, message: ObjectMaskArray) -> None:
        stamp = stamp_ns(message.header.stamp)
        age_ms = (self._node.get_clock().now().nanoseconds - stamp) / 1e6
        self._results_s = time.monotonic()
        _keep(self._results, stamp, (message, age_ms), _RESULTS_KEPT)
        if stamp in self._images:
            self._emit(stamp)

    def _on_confidence(self, serialised: bytes) -> None:
        message = read(serialised, Image)
        _keep(self._confidences, stamp_ns(message.header.stamp), message, _RESULTS_KEPT)

    def _emit(self, stamp: int) -> None:
        results, age_ms = self._results.pop(stamp)
        # Results come in the order of their images: those before this one have none to wait for any more.
        while next(iter(self._images)) != stamp:
            self._images.popitem(last=False)
        self._show(stamp, self._images[stamp], shown_objects_of(results), results, age_ms)

    def _show(
        self,
        stamp: int,
        message: Any,
        objects: tuple[ShownObject, ...],
        results: ObjectMaskArray | None,
        age_ms: float | None,
    ) -> None:
        confidence = self._confidences.pop(stamp, None)
        try:
            image, size = _image_of(message, self.camera.transport)
            pixels = None if confidence is None else values_from_image(confidence)
        except ImageError as error:
            self.problem = str(error)
            return
        self.problem = ""
        self._on_frame(
            ShownFrame(
                self.camera.name,
                stamp,
                image,
                size,
                objects,
                None if results is None else results.vocabulary_version,
                age_ms,
                0 if results is None else stamp_ns(results.inferred_stamp),
                None if pixels is None or pixels.shape != size else pixels.astype(np.uint8),
            )
        )


def shown_objects_of(message: ObjectMaskArray) -> tuple[ShownObject, ...]:
    """Return the objects of a message; those without pixels are left out."""
    return tuple(
        ShownObject(
            detected.class_id,
            detected.class_name,
            detected.score,
            Box(
                detected.roi.x_offset,
                detected.roi.y_offset,
                detected.roi.width,
                detected.roi.height,
            ),
            np.array(detected.counts, np.uint32),
            detected.area,
            detected.track_id,
            _vector(detected.position) if detected.has_position else None,
            _vector(detected.size) if detected.has_position else None,
        )
        for detected in message.objects
        if detected.area
    )


def _vector(message: Any) -> tuple[float, float, float]:
    return message.x, message.y, message.z


def _keep(store: OrderedDict[int, Any], stamp: int, value: Any, most: int) -> None:
    store[stamp] = value
    store.move_to_end(stamp)
    while len(store) > most:
        store.popitem(last=False)


def _image_of(message: Any, transport: str) -> tuple[RgbImage | bytes, tuple[int, int]]:
    """Return the image of a message, a JPEG as it is, and its size (H, W). Raises ImageError."""
    if transport != "compressed":
        image = image_from_message(message)
        return image, size_of(image)
    data = bytes(message.data)
    if data.startswith(_JPEG_START):
        try:
            with PIL.Image.open(io.BytesIO(data), formats=("JPEG",)) as header:
                width, height = header.size
        except Exception as error:  # Pillow's readers raise exceptions of many types
            raise ImageError("a JPEG is damaged: the publisher truncates it") from error
        DEFAULT_IMAGE_LIMITS.check(width, height)
        return data, (height, width)
    image = image_from_compressed(message)
    return image, size_of(image)
