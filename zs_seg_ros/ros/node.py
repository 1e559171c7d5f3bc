# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`segmentation_node`: lifecycle and wiring, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from zs_seg_ros.errors import ZeroShotSegmentationError
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.requested_outputs import RequestedOutputs
from zs_seg_ros.ros.camera_set import CameraSet
from zs_seg_ros.ros.diagnostics import ERROR, WARN, Problem
from zs_seg_ros.ros.diagnostics_publisher import DiagnosticsPublisher
from zs_seg_ros.ros.embed_service import EmbedService
from zs_seg_ros.ros.enable_service import EnableService
from zs_seg_ros.ros.keep_service import KeepService
from zs_seg_ros.ros.parameters.node_parameters import (
    ParameterError,
    Parameters,
    declare_parameters,
    is_fixed_at_start,
    is_ours,
    needs_cleanup,
    read_parameters,
)
from zs_seg_ros.ros.parameters.unknown import unknown_parameters, without_defaults
from zs_seg_ros.ros.process import run
from zs_seg_ros.ros.rclpy_private import destroy_state_machine, given_parameters
from zs_seg_ros.ros.rclpy_services import answer_every_request
from zs_seg_ros.ros.recent_results import RecentResults
from zs_seg_ros.ros.saved_vocabulary import SavedVocabulary
from zs_seg_ros.ros.segmentation_run import SegmentationRun
from zs_seg_ros.ros.target_selection import TargetSelection
from zs_seg_ros.ros.transforms import Transforms
from zs_seg_ros.ros.vocabulary_services import VocabularyServices
from zs_seg_ros.shown import described, shown, traced

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class SegmentationNode(LifecycleNode):
    """Segments the images of any number of cameras by the classes of one vocabulary."""

    def __init__(self, name: str = "zs_seg", **arguments: Any) -> None:
        super().__init__(name, **arguments)
        answer_every_request(self)
        declare_parameters(self)
        self._current_parameters: Parameters  # since configure
        self._model = LiveModel(lambda: self.get_clock().now().nanoseconds)
        self._saved = SavedVocabulary(self.get_logger())
        self._recent = RecentResults()
        self._target = TargetSelection(self, self._recent)
        self._transforms = Transforms(self)
        self._cameras = CameraSet(self, self._model, self._transforms, self._also_requested)
        self._vocabulary_services = VocabularyServices(
            self, self._model, self._cameras, self._saved
        )
        self._keep = KeepService(
            self, self._model, self._recent, self._vocabulary_services.publish_and_save
        )
        self._embed = EmbedService(self, self._model)
        self._enable = EnableService(self, self._set_enabled)
        self._diagnostics = DiagnosticsPublisher(self, self._model)
        self._segmentation: SegmentationRun | None = None  # while active
        self._transition_problem = ""
        self._cameras_problem = ""
        self._unknown_parameters: list[str] = []
        self.add_on_set_parameters_callback(self._on_parameters)
        self._steady_timer(1.0, self._every_second, MutuallyExclusiveCallbackGroup())
        if self.get_parameter("autostart").value:
            self._autostart_timer = self._steady_timer(0.01, self._autostart)

    def _steady_timer(
        self,
        period_s: float,
        callback: Callable[[], None],
        group: MutuallyExclusiveCallbackGroup | None = None,
    ) -> Any:
        """Create a timer that goes on when simulated time stands still."""
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        return self.create_timer(period_s, callback, callback_group=group, clock=clock)

    def _also_requested(self, camera: str) -> RequestedOutputs | None:
        """Return the stages that services need of a camera, beside its subscribers; None without any."""
        services = (self._recent, self._target, self._keep)
        requests = [r for service in services if (r := service.requested(camera)) is not None]
        return reduce(RequestedOutputs.__or__, requests) if requests else None

    # --- lifecycle ---

    def _autostart(self) -> None:
        self._autostart_timer.cancel()
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Check the parameters, load the model, prepare the vocabulary and warm up."""
        if self._succeeds("configure", self._configure):
            return super().on_configure(state)
        self._release()
        return FAILURE

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and publish."""
        super().on_activate(state)
        if self._succeeds("activate", self._activate):
            return SUCCESS
        self._succeeds("deactivate", self._deactivate)
        super().on_deactivate(state)
        return FAILURE

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop both; the model and the vocabulary stay."""
        self._succeeds("deactivate", self._deactivate)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model and its memory."""
        self._succeeds("cleanup", self._release)
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free everything."""
        self._succeeds("shutdown", self._deactivate)
        self._succeeds("shutdown", self._release)
        return super().on_shutdown(state)

    def _succeeds(self, transition: str, step: Callable[[], None]) -> bool:
        """Take a step of a transition. Returns False after an exception, which is reported: rclpy would swallow it."""
        try:
            step()
        except (ZeroShotSegmentationError, ParameterError) as error:
            self._transition_problem = str(error)
        except Exception as error:
            self._transition_problem = f"{transition} failed: {described(error)}"
            self.get_logger().error(traced(error))
        else:
            self._transition_problem = ""
            return True
        self.get_logger().error(self._transition_problem)
        return False

    def _configure(self) -> None:
        declare_parameters(self)  # of cameras that were named since
        self._current_parameters = parameters = read_parameters(self)
        self._unknown_parameters = unknown_parameters(
            without_defaults(given_parameters(self)), [*self.get_parameters_by_prefix("")]
        )
        for problem in self._unknown_parameters:
            self.get_logger().warning(problem)
        self.get_logger().info(f"loading {parameters.model}")
        first = self._saved.first(parameters)
        for warning in self._model.load(parameters.model, parameters.options, first):
            self.get_logger().warning(warning)
        assert self._model.segmenter is not None
        if self._model.segmenter.caution:
            self.get_logger().warning(self._model.segmenter.caution)
        self._cameras.configure(parameters)
        self._recent.configure(tuple(camera.name for camera in parameters.cameras))
        self._vocabulary_services.set_default_threshold(parameters.settings.default_threshold)
        segmenter = self._model.segmenter
        precision = f" in {segmenter.precision}" if segmenter.precision else ""
        self.get_logger().info(f"{parameters.model} is ready on {segmenter.device}{precision}")

    def _activate(self) -> None:
        self._vocabulary_services.publish_vocabulary()
        self._segmentation = SegmentationRun(
            self,
            self._model,
            self._cameras,
            self._recent,
            self._target,
            self._transforms,
            self._current_parameters,
        )
        self._segmentation.start()
        self.get_logger().info("active")

    def _deactivate(self, patience_s: float = 2.5) -> None:
        segmentation, self._segmentation = self._segmentation, None
        if segmentation is not None:
            segmentation.stop(patience_s)

    def _release(self, patience_s: float = -1.0) -> None:
        self._target.reset()
        self._recent.reset()
        self._cameras.destroy()
        self._model.free(patience_s)
        self._saved.release()

    def destroy_node(self) -> None:
        """Stop and free everything, in whatever state the node is, without waiting long for a model at work."""
        self._deactivate(patience_s=0.7)
        self._release(patience_s=0.3)
        super().destroy_node()
        destroy_state_machine(self)

    # --- parameters ---

    def _on_parameters(self, changed: list[Parameter]) -> SetParametersResult:
        """Check first, apply afterwards; all or nothing."""
        ours = [parameter.name for parameter in changed if is_ours(parameter.name)]
        if reason := self._why_fixed([p for p in changed if p.name in ours and self._differs(p)]):
            return SetParametersResult(successful=False, reason=reason)
        try:
            parameters = read_parameters(self, changed)
        except ParameterError as error:
            return SetParametersResult(successful=not ours, reason=str(error))
        self._apply(parameters)
        return SetParametersResult(successful=True)

    def _differs(self, parameter: Parameter) -> bool:
        """Whether a value is another one than now; `ros2 param load` sets all of a file, most of them unchanged."""
        if not self.has_parameter(parameter.name):
            return False  # it is being declared
        now = self.get_parameter(parameter.name)
        return (now.type_, now.value) != (parameter.type_, parameter.value)

    def _why_fixed(self, changed: list[Parameter]) -> str:
        """Say why a parameter among those with another value cannot change now; empty when all can."""
        for name in (parameter.name for parameter in changed):
            if is_fixed_at_start(name):
                return f"{name} cannot change after the start; give it with the parameters at the start"
            if needs_cleanup(name) and self._model.segmenter is not None:
                return (
                    f"{name} cannot change while a model is loaded; first: ros2 lifecycle set "
                    f"{self.get_fully_qualified_name()} deactivate, and then cleanup"
                )
        return ""

    def _apply(self, parameters: Parameters) -> None:
        self._current_parameters = parameters
        self._cameras.apply_limits(parameters)
        self._vocabulary_services.set_default_threshold(parameters.settings.default_threshold)
        if (segmentation := self._segmentation) is not None:
            segmentation.apply(parameters)

    def _set_enabled(self, enabled: bool) -> None:
        self._cameras.set_enabled(enabled)
        if not enabled and (segmentation := self._segmentation) is not None:
            segmentation.intake.reset()

    # --- once a second ---

    def _every_second(self) -> None:
        segmentation = self._segmentation
        if segmentation is not None:
            segmentation.give_up_after(self._current_parameters.model_timeout_s)
        self._follow_cameras()
        self._cameras.match_publishers()
        intake = None if segmentation is None else segmentation.intake
        self._diagnostics.publish(self._problems(), self._cameras, intake)

    def _follow_cameras(self) -> None:
        """Add and remove cameras as the parameter `cameras` says now."""
        if not self._cameras.configured:
            return
        try:
            declare_parameters(self)  # of cameras that were named meanwhile
            parameters = read_parameters(self)
            added = self._cameras.follow(parameters)
            self._recent.configure(tuple(camera.name for camera in parameters.cameras))
            self._cameras_problem = ""
        except (ParameterError, ParameterException) as error:  # what a file says of a new camera
            self._cameras_problem = f"the cameras stay as they are: {shown(error, 300)}"
            return
        for camera in added:
            self._vocabulary_services.publish_label_info(camera)

    def _problems(self) -> list[Problem]:
        """List what is wrong with the node and the model, for diagnostics."""
        segmentation = self._segmentation
        model_problem = "" if segmentation is None else segmentation.problem.recent
        errors = (self._transition_problem, model_problem, self._cameras_problem)
        interval_s = 0.0
        if segmentation is not None:
            interval_s = self._current_parameters.settings.detection_interval_s
        return [
            *(Problem(ERROR, text) for text in errors if text),
            *(Problem(WARN, text) for text in (self._target.problem(),) if text),
            *(Problem(WARN, text) for text in self._model.problems(interval_s)),
            *(Problem(WARN, text) for text in self._saved.problems()),
            *(Problem(WARN, text) for text in self._unknown_parameters),
            *self._enable.problems(),
        ]


def main() -> None:
    """Entry point of the executable."""
    run(SegmentationNode)
