# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`~/embed`: vectors of prompts and an image, to compare with the features of objects; and the message of these."""

from __future__ import annotations

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode

from zs_seg_ros.errors import VocabularyError, ZeroShotSegmentationError
from zs_seg_ros.msg import Exemplar, ObjectFeatures
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.ros.conversions import example_image, fill_floats, header_of
from zs_seg_ros.ros.parameters.node_parameters import ParameterError, read_parameters
from zs_seg_ros.shown import described, traced
from zs_seg_ros.srv import Embed
from zs_seg_ros.types import Scene


class EmbedService:
    """The service `~/embed`, in a callback group of its own."""

    def __init__(self, node: LifecycleNode, model: LiveModel) -> None:
        self._node = node
        self._model = model
        group = MutuallyExclusiveCallbackGroup()
        node.create_service(Embed, "~/embed", self._on_request, callback_group=group)

    def _on_request(self, request: Embed.Request, response: Embed.Response) -> Embed.Response:
        try:
            self._answer(request, response)
        except Exception as error:  # the caller always gets a response
            response = Embed.Response(message=self._reason(error))
            self._node.get_logger().warning(f"embed refused: {response.message}")
        return response

    def _answer(self, request: Embed.Request, response: Embed.Response) -> None:
        parameters = read_parameters(self._node)
        example = None
        if request.image.height or request.image.width:
            given = Exemplar(image=request.image, mask=request.mask)
            example = example_image(given, "the image", parameters.image_limits)
        elif len(request.mask.data):
            raise VocabularyError("a mask without its image cannot be embedded; give both")
        elif not request.prompts:
            raise VocabularyError("there is nothing to embed; give prompts, or an image")
        embeddings = self._model.embed(
            request.prompts, example, parameters.limits, parameters.vocabulary_timeout_s
        )
        response.model, response.dimension = embeddings.model, embeddings.dimension
        fill_floats(response.values, embeddings.values)
        response.success = True

    def _reason(self, error: Exception) -> str:
        if isinstance(error, ZeroShotSegmentationError | ParameterError):
            return str(error)
        self._node.get_logger().error(traced(error))
        return f"the model fails on these prompts or this image: {described(error)}"


def features_message(scene: Scene) -> ObjectFeatures | None:
    """Make the features of a scene's objects; None for a scene that was carried from another image."""
    if scene.propagated_from_ns is not None:
        return None
    message = ObjectFeatures(
        header=header_of(scene.frame),
        class_ids=[detected.class_id for detected in scene.objects],
        track_ids=[detected.track_id for detected in scene.objects],
    )
    if scene.features is not None:
        message.model, message.dimension = scene.features.model, scene.features.dimension
        fill_floats(message.values, scene.features.values)
    return message
