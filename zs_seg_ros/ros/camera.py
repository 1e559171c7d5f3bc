# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""One camera of the node: its subscriptions, its publishers and its state of health."""

from __future__ import annotations

from rclpy.lifecycle import LifecycleNode

from zs_seg_ros.errors import ModelError
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.requested_outputs import RequestedOutputs
from zs_seg_ros.ros.camera_input import CameraInput
from zs_seg_ros.ros.camera_outputs import AlsoRequested, CameraOutputs
from zs_seg_ros.ros.diagnostics import OK, OLD_FRAME_MS, WARN, CameraHealth, Problem
from zs_seg_ros.ros.lidar import LidarLabels
from zs_seg_ros.ros.parameters.node_parameters import CameraParameters
from zs_seg_ros.ros.transforms import Transforms
from zs_seg_ros.segmenters.base import shared_space_of
from zs_seg_ros.shown import quoted


class Camera:
    """Joins the input and the outputs of one camera."""

    def __init__(
        self,
        node: LifecycleNode,
        parameters: CameraParameters,
        model: LiveModel,
        transforms: Transforms,
        also_requested: AlsoRequested,
    ) -> None:
        self.name = parameters.name
        self.parameters = parameters
        self.lidar = LidarLabels(node, parameters, transforms) if parameters.lidar else None

        def also(camera: str) -> RequestedOutputs | None:
            mine = None if self.lidar is None else self.lidar.requested()
            others = also_requested(camera)
            return mine | others if mine and others else mine or others

        self.outputs = CameraOutputs(node, parameters, also)
        self.input = CameraInput(node, parameters, model, self.outputs)
        self._model = model

    @property
    def health(self) -> CameraHealth:
        """Counts and times since activation."""
        return self.input.health

    def destroy(self) -> None:
        """Destroy subscriptions and publishers."""
        self.input.destroy()
        self.outputs.destroy()
        if self.lidar is not None:
            self.lidar.destroy()

    def problems(self) -> list[Problem]:
        """List the problems of this camera while the node is active. Called once a second."""
        problems = self.input.problems() + self.outputs.problems()
        if self.lidar is not None:
            problems += self.lidar.problems()
        if self.health.bad_input.recent:
            problems.append(Problem(WARN, self.health.bad_input.recent))
        if self.health.no_pose.recent:
            problems.append(Problem(WARN, self.health.no_pose.recent))
        age_ms = self.health.age_ms()
        if age_ms is not None and abs(age_ms) > OLD_FRAME_MS:
            problems.append(
                Problem(
                    WARN,
                    f"results are {age_ms / 1000:.1f} s behind their images' stamps: check that clocks agree, that "
                    "use_sim_time fits, and that the model is fast enough",
                )
            )
        names = self._model.vocabulary.names
        unknown = [name for name in self.parameters.mask_classes if name not in names]
        if unknown:
            problems.append(
                Problem(
                    WARN,
                    f"{self.name}.mask_classes has {quoted(unknown[0])}, which the vocabulary lacks: correct the name, "
                    "or set a vocabulary that has it",
                )
            )
        if not self.outputs.enabled:
            return problems
        requested = self.outputs.requested()
        if requested is None:
            problems.append(
                Problem(OK, "the results have no subscribers: the camera is not subscribed to")
            )
        elif requested.features:
            problems += self._problems_of_features()
        return problems

    def _problems_of_features(self) -> list[Problem]:
        segmenter = self._model.segmenter
        if segmenter is None:
            return []
        try:
            shared_space_of(segmenter)
        except ModelError as error:
            topic = self.outputs.resolved("features")
            return [Problem(WARN, f"{topic} has subscribers and no vectors: {error}")]
        return []
