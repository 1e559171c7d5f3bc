# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The node that the studio shows: its services and the parameters that say where its cameras publish."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

import zs_seg_ros.msg as messages
import zs_seg_ros.srv as services
from zs_seg_ros.errors import StudioError
from zs_seg_ros.images.camera_topics import image_topic
from zs_seg_ros.perception.pipeline import DEFAULT_THRESHOLD
from zs_seg_ros.ros.conversions import classes_from_messages
from zs_seg_ros.ros.repeated_request import RepeatedRequest
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.studio.source import ModelChoice
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

_DISCOVERY_S = 2.0
_PARAMETERS_S = 3.0
_MOST_CAMERAS = 64
_LOADING = (
    *("device", "precision", "revision", "inference_size", "mask_inference_size"),
    *("engine", "providers", "export_folder"),
)
"""The parameters that say how the model is loaded."""


@dataclass(frozen=True)
class RemoteCamera:
    """A camera of the node. topic: of its images. transport: raw, compressed or ffmpeg."""

    name: str
    topic: str
    transport: str


class RemoteNode:
    """Calls the services of a node by its full name, such as /zs_seg. Thread-safe."""

    def __init__(self, node: Node, name: str) -> None:
        self.name = name
        group = ReentrantCallbackGroup()  # callers wait in callbacks of the node
        self._clients = {
            kind: node.create_client(kind, f"{name}/{service}", callback_group=group)
            for kind, service in (
                (services.SetVocabulary, "set_vocabulary"),
                (services.SegmentImage, "segment"),
                (services.KeepObject, "keep"),
            )
        }
        self._parameters = node.create_client(  # the newest: see RepeatedRequest
            GetParameters, f"{name}/get_parameters", callback_group=group
        )

    @property
    def is_there(self) -> bool:
        """Whether the node has been discovered."""
        return bool(self._parameters.service_is_ready())

    def call(self, request: Any, kind: Any, timeout_s: float) -> Any:
        """Return the response to a request of a service type. Raises StudioError without one."""
        # From its answer on the node knows this client, also one that was started again.
        self._parameter_values([])
        return self._answer(self._clients[kind], request, timeout_s)

    def parameters(self, names: Sequence[str]) -> list[Any]:
        """Return the values of parameters; None for one that is not set. Raises StudioError without an answer."""
        values = self._parameter_values(names)
        return [parameter_value_to_python(value) for value in values] or [None] * len(names)

    def _parameter_values(self, names: Sequence[str]) -> Sequence[Any]:
        request = RepeatedRequest(self._parameters, GetParameters.Request(names=list(names)))
        response = request.wait(_PARAMETERS_S)
        if response is None:
            raise self._no_answer(self._parameters, _PARAMETERS_S)
        return response.values

    def shown_parameters(self) -> tuple[tuple[RemoteCamera, ...], float]:
        """Return the cameras of the node, and the threshold of classes without one.

        The node is asked once a second, in two calls for any number of cameras. Raises StudioError without an answer.
        """
        cameras, threshold = self.parameters(["cameras", "default_threshold"])
        names = list(cameras or [])[:_MOST_CAMERAS]
        fields = [f"{name}.{field}" for field in ("image_topic", "transport") for name in names]
        values = self.parameters(fields) if names else []
        remote = tuple(
            RemoteCamera(
                name, self._resolved(topic or image_topic(name, transport)), transport or "raw"
            )
            for name, topic, transport in zip(
                names, values[: len(names)], values[len(names) :], strict=True
            )
        )
        return remote, _threshold_of(threshold)

    def model(self) -> ModelChoice:
        """Return the model of the node and how it is loaded, not compiled. Raises StudioError without an answer."""
        model, threshold, *values = self.parameters(["model", "default_threshold", *_LOADING])
        if not model:
            raise StudioError(f"{self.name} does not say which model it has: see its log")
        options = dict(zip(_LOADING, values, strict=True))
        options["providers"] = tuple(name for name in options["providers"] or () if name)
        return ModelChoice(model, LoadOptions(**options), _threshold_of(threshold))

    def _resolved(self, topic: str) -> str:
        """Return a name as the node resolves it: without a slash in front it is relative to its namespace."""
        namespace = self.name.rpartition("/")[0]
        return topic if topic.startswith("/") else f"{namespace}/{topic}"

    def _answer(self, client: Any, request: Any, timeout_s: float) -> Any:
        if not client.wait_for_service(_DISCOVERY_S):
            raise StudioError(
                f"{self.name} has no service {client.srv_name}: it is no segmentation_node, or of another version"
            )
        answered = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(timeout_s):
            client.remove_pending_request(future)
            raise self._no_answer(client, timeout_s)
        return future.result()

    def _no_answer(self, client: Any, timeout_s: float) -> StudioError:
        if not self.is_there:
            return StudioError(
                f"the node {self.name} is not there: start it, or name another with --node"
            )
        return StudioError(
            f"{client.srv_name} did not answer within {timeout_s:g} s: see the log of the node, and try again"
        )


def vocabulary_of(message: messages.Vocabulary) -> Vocabulary:
    """Convert the vocabulary of a message. Raises VocabularyError for an exemplar that cannot be used."""
    stamp = message.header.stamp
    return Vocabulary(
        classes_from_messages(message.classes),
        tuple(message.ids),
        message.version,
        stamp.sec * 10**9 + stamp.nanosec,
    )


def _threshold_of(value: Any) -> float:
    return DEFAULT_THRESHOLD if value is None else float(value)
