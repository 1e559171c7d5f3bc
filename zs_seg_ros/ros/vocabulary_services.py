# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The services ~/set_vocabulary, ~/get_vocabulary and ~/segment, and latched topics with the vocabulary in force."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header

import zs_seg_ros.msg as messages
import zs_seg_ros.srv as services
from zs_seg_ros.errors import ZeroShotSegmentationError
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.perception.pipeline import DEFAULT_THRESHOLD
from zs_seg_ros.ros.camera import Camera
from zs_seg_ros.ros.camera_set import CameraSet
from zs_seg_ros.ros.conversions import classes_from_messages, vocabulary_message
from zs_seg_ros.ros.parameters.node_parameters import ParameterError, Parameters, read_parameters
from zs_seg_ros.ros.qos import LATCHED, NO_PUBLISHER_EVENTS, SERVICE
from zs_seg_ros.ros.saved_vocabulary import SavedVocabulary
from zs_seg_ros.ros.segment_service import answer
from zs_seg_ros.ros.vision_messages import label_info_message
from zs_seg_ros.shown import described, traced
from zs_seg_ros.vocabulary.vocabulary import LAST_VERSION


class VocabularyServices:
    """The services of the vocabulary, each in a callback group of its own, so that none waits for another."""

    def __init__(
        self, node: LifecycleNode, model: LiveModel, cameras: CameraSet, saved: SavedVocabulary
    ) -> None:
        self._node = node
        self._model = model
        self._cameras = cameras
        self._saved = saved
        self._default_threshold = DEFAULT_THRESHOLD
        self._publish_lock = threading.RLock()
        self._publisher = node.create_lifecycle_publisher(
            messages.Vocabulary, "~/vocabulary", LATCHED, event_callbacks=NO_PUBLISHER_EVENTS
        )
        for service_type, name, callback in (
            (services.SetVocabulary, "~/set_vocabulary", self._on_set_vocabulary),
            (services.GetVocabulary, "~/get_vocabulary", self._on_get_vocabulary),
            (services.SegmentImage, "~/segment", self._on_segment),
        ):
            group = MutuallyExclusiveCallbackGroup()
            node.create_service(
                service_type, name, callback, qos_profile=SERVICE, callback_group=group
            )

    def _on_set_vocabulary(
        self, request: services.SetVocabulary.Request, response: services.SetVocabulary.Response
    ) -> services.SetVocabulary.Response:
        try:
            parameters = read_parameters(self._node)
            classes = classes_from_messages(request.classes, parameters.image_limits)
            warnings = self._model.change_vocabulary(
                classes, parameters.limits, parameters.vocabulary_timeout_s
            )
            response.warnings = [*warnings, *self.publish_and_save(parameters)]
            response.success = True
        except Exception as error:
            response.message = self._reason(error, "this vocabulary")
        names = ", ".join(self._model.vocabulary.names) or "none"
        outcome = f"refused: {response.message}" if response.message else "accepted"
        self._node.get_logger().info(f"vocabulary {outcome}; classes in force: {names}")
        return self._on_get_vocabulary(request, response)

    def _on_get_vocabulary(self, _request: Any, response: Any) -> Any:
        response.vocabulary = vocabulary_message(self._model.vocabulary)
        return response

    def _on_segment(
        self, request: services.SegmentImage.Request, response: services.SegmentImage.Response
    ) -> services.SegmentImage.Response:
        try:
            answer(request, response, self._model, read_parameters(self._node))
        except Exception as error:
            response = services.SegmentImage.Response(message=self._reason(error, "this image"))
            self._node.get_logger().warning(f"segment refused: {response.message}")
        return response

    def _reason(self, error: Exception, what: str) -> str:
        """Return the reason why a request failed, for any exception, so that the caller always gets a response."""
        if isinstance(error, ZeroShotSegmentationError | ParameterError):
            return str(error)
        self._node.get_logger().error(traced(error))
        return f"the model fails on {what}: {described(error)}"

    def publish_and_save(self, parameters: Parameters) -> list[str]:
        """Publish a new vocabulary and save it. Returns the problem with the file in a list; empty without one.

        The classes of kept objects are not saved: no object is kept after a restart.
        """
        self.publish_vocabulary()
        saved = self._model.vocabulary
        kept = {each.name for each in self._model.kept.all}
        if not kept.isdisjoint(saved.names):
            version = min(saved.version + 1, LAST_VERSION)  # no other vocabulary has it
            saved = replace(saved.without(kept), version=version)
        return self._saved.save(saved, parameters.vocabulary_file)

    def publish_vocabulary(self) -> None:
        """Publish the vocabulary in force on ~/vocabulary, and its names on every camera's ~/CAM/label_info."""
        with self._publish_lock:  # so that the last one published is the one in force
            self._publisher.publish(vocabulary_message(self._model.vocabulary))
            for camera in self._cameras:
                self.publish_label_info(camera)

    def publish_label_info(self, camera: Camera) -> None:
        """Publish the names in force for one camera."""
        header = Header(stamp=self._node.get_clock().now().to_msg())
        message = label_info_message(self._model.vocabulary, header, self._default_threshold)
        camera.outputs.publish_label_info(message)

    def set_default_threshold(self, threshold: float) -> None:
        """Set the default threshold (0..1), and publish the names again if it has changed."""
        with self._publish_lock:
            if threshold != self._default_threshold:
                self._default_threshold = threshold
                for camera in self._cameras:
                    self.publish_label_info(camera)
