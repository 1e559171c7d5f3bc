"""`segmentation_node`: lifecycle and wiring, nothing else."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from zs_seg_ros import msg as messages
from zs_seg_ros import srv as services
from zs_seg_ros.errors import ImageError, VocabularyError, ZeroShotSegmentationError
from zs_seg_ros.frame_slot import FrameSlots
from zs_seg_ros.ros.camera import CameraTopics
from zs_seg_ros.ros.conversions import (
    classes_from_messages,
    label_info_message,
    stamp_ns,
    vocabulary_message,
)
from zs_seg_ros.ros.diagnostics import (
    ERROR,
    OK,
    WARN,
    LastProblem,
    Problem,
    camera_values,
    status,
)
from zs_seg_ros.ros.parameters import (
    WHILE_RUNNING,
    ParameterError,
    Parameters,
    declare_parameters,
    is_ours,
    read_parameters,
)
from zs_seg_ros.ros.process import run
from zs_seg_ros.ros.qos import LATCHED
from zs_seg_ros.segmenters import load_segmenter
from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter
from zs_seg_ros.types import Batch, Frame, Picture, Scene
from zs_seg_ros.vocabulary import TargetClass, Vocabulary
from zs_seg_ros.vocabulary_file import read_vocabulary_file
from zs_seg_ros.worker import Worker

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
_WARM_UP_SIZE = (480, 640)


class SegmentationNode(LifecycleNode):
    """Finds the classes of one vocabulary in the images of any number of cameras."""

    def __init__(self, name: str = "zs_seg", **arguments: Any) -> None:
        super().__init__(name, **arguments)
        # Held while the model is prepared, changed or freed, so that these never overlap.
        self._model_lock = threading.Lock()
        self._segmenter: Segmenter[Any] | None = None
        self._encoded: EncodedVocabulary[Any] | None = None
        self._worker: Worker | None = None
        self._slots = FrameSlots(())
        self._cameras: dict[str, CameraTopics] = {}
        self._configure_error = ""
        self._model_problem = LastProblem()
        self._vocabulary = Vocabulary()  # outlives cleanup: ids are never reused while we live
        declare_parameters(self)
        self.add_on_set_parameters_callback(self._on_parameters)
        self._create_interface()
        if self.get_parameter("autostart").value:
            self._autostart_timer = self._steady_timer(0.01, self._autostart)

    def _create_interface(self) -> None:
        self._vocabulary_publisher = self.create_lifecycle_publisher(
            messages.Vocabulary, "~/vocabulary", LATCHED
        )
        self.create_service(
            services.SetVocabulary,
            "~/set_vocabulary",
            self._on_set_vocabulary,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )
        self.create_service(
            services.GetVocabulary,
            "~/get_vocabulary",
            self._on_get_vocabulary,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._steady_timer(1.0, self._every_second, MutuallyExclusiveCallbackGroup())

    def _steady_timer(
        self,
        period_s: float,
        callback: Callable[[], None],
        group: MutuallyExclusiveCallbackGroup | None = None,
    ) -> Any:
        """A timer that goes on when simulated time stands still."""
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        return self.create_timer(period_s, callback, callback_group=group, clock=clock)

    def _autostart(self) -> None:
        self._autostart_timer.cancel()
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    # --- lifecycle ---

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Check parameters, load the model, prepare the vocabulary, warm up."""
        try:
            with self._model_lock:
                self._configure()
            self._configure_error = ""
            return super().on_configure(state)
        except (ZeroShotSegmentationError, ParameterError) as error:
            self._configure_error = str(error)
        except Exception as error:  # rclpy would swallow it
            self._configure_error = f"configure failed: {type(error).__name__}: {error}"
            self.get_logger().error(traceback.format_exc())
        self.get_logger().error(self._configure_error)
        self._release()
        return FAILURE

    def _configure(self) -> None:
        declare_parameters(self)  # of cameras that came since
        parameters = read_parameters(self)
        self.get_logger().info(f"loading {parameters.model}")
        self._segmenter = load_segmenter(parameters.model, parameters.options)
        if self._segmenter.caution:
            self.get_logger().warning(self._segmenter.caution)
        self._put_first_vocabulary_in_force(parameters)
        for camera in parameters.cameras:
            self._cameras[camera.name] = CameraTopics(self, camera)
        self.get_logger().info(f"{parameters.model} is ready on {self._segmenter.device}")

    def _put_first_vocabulary_in_force(self, parameters: Parameters) -> None:
        """The one that was in force before, or the one that the parameters ask for, if any."""
        vocabulary = self._vocabulary
        if vocabulary.version == 0:
            classes = tuple(TargetClass(name) for name in parameters.classes)
            if parameters.vocabulary_file:
                classes = read_vocabulary_file(parameters.vocabulary_file)
            if not classes:
                return
            vocabulary = vocabulary.changed_to(classes)
        for warning in self._put_in_force(self._prepared(vocabulary)):
            self.get_logger().warning(warning)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and publish."""
        with self._model_lock:
            super().on_activate(state)
            assert self._segmenter is not None
            self._slots = FrameSlots(self._cameras)
            self._worker = Worker(self._segmenter, self._slots, self._publish, self._on_model_error)
            self._worker.settings = read_parameters(self).settings
            self._worker.encoded = self._encoded
            self._publish_vocabulary()
            self._worker.start()
            for camera in self._cameras.values():
                camera.subscribe(self._on_picture)
        self.get_logger().info("active")
        return SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop both; model and vocabulary stay."""
        with self._model_lock:
            self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model and its memory."""
        with self._model_lock:
            self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        with self._model_lock:
            self._stop()
            self._release()
        return super().on_shutdown(state)

    def _stop(self) -> None:
        for camera in self._cameras.values():
            camera.unsubscribe()
        if self._worker is not None and not self._worker.stop():
            self.get_logger().error("the model does not return; its thread is left behind")
        self._worker = None

    def _release(self) -> None:
        for camera in self._cameras.values():
            camera.destroy()
        self._cameras = {}
        self._encoded = None
        if self._segmenter is not None:
            self._segmenter.close()
            self._segmenter = None

    # --- vocabulary ---

    def _on_set_vocabulary(
        self,
        request: services.SetVocabulary.Request,
        response: services.SetVocabulary.Response,
    ) -> services.SetVocabulary.Response:
        try:
            with self._model_lock:
                classes = classes_from_messages(request.classes)
                encoded = self._prepared(self._vocabulary.changed_to(classes))
                response.warnings = self._put_in_force(encoded)
                self._publish_vocabulary()
            response.success = True
            self.get_logger().info(f"looking for: {', '.join(self._vocabulary.names) or 'nothing'}")
        except ZeroShotSegmentationError as error:
            response.message = str(error)
        except Exception as error:  # the model may raise anything; the caller must get an answer
            self.get_logger().error(traceback.format_exc())
            response.message = (
                f"the model failed on this vocabulary: {type(error).__name__}: {error}"
            )
        if response.message:
            self.get_logger().warning(f"vocabulary refused: {response.message}")
        response.vocabulary = vocabulary_message(self._vocabulary)
        return response

    def _on_get_vocabulary(
        self,
        _request: services.GetVocabulary.Request,
        response: services.GetVocabulary.Response,
    ) -> services.GetVocabulary.Response:
        response.vocabulary = vocabulary_message(self._vocabulary)
        return response

    def _prepared(self, vocabulary: Vocabulary) -> EncodedVocabulary[Any]:
        """Encode a vocabulary and run it once, while the old one goes on working."""
        if self._segmenter is None:
            raise VocabularyError(
                "the node has no model yet; configure it first: ros2 lifecycle set"
            )
        encoded = self._segmenter.encode(vocabulary)
        blank = np.zeros((*_WARM_UP_SIZE, 3), np.uint8)
        self._segmenter.segment(Batch((blank,), vocabulary.thresholds(1.0)), encoded)
        return encoded

    def _put_in_force(self, encoded: EncodedVocabulary[Any]) -> list[str]:
        """Swap, between two batches; returns the warnings."""
        now = self.get_clock().now().nanoseconds
        vocabulary = replace(encoded.vocabulary, stamp_ns=now)
        self._vocabulary = vocabulary
        self._encoded = replace(encoded, vocabulary=vocabulary)
        if self._worker is not None:
            self._worker.encoded = self._encoded
        nothing = ["the vocabulary is empty: nothing will be labelled"]
        return list(encoded.warnings) if vocabulary.classes else nothing

    def _publish_vocabulary(self) -> None:
        vocabulary = self._vocabulary
        self._vocabulary_publisher.publish(vocabulary_message(vocabulary))
        header = Header(stamp=self.get_clock().now().to_msg())
        threshold = float(self.get_parameter("default_threshold").value)
        for camera in self._cameras.values():
            camera.publish_label_info(label_info_message(vocabulary, header, threshold))

    # --- frames ---

    def _on_picture(self, camera: CameraTopics, message: Any, read: Callable[[], Picture]) -> None:
        camera.health.came_in()
        if self._encoded is None or not camera.wanted:
            return
        try:
            self._slots.put(
                Frame(
                    camera.name,
                    read(),
                    stamp_ns(message.header.stamp),
                    message.header.frame_id,
                    time.monotonic_ns(),
                )
            )
        except ImageError as error:
            camera.health.refused(str(error))
            self.get_logger().warning(f"{camera.name}: {error}", throttle_duration_sec=5.0)

    def _publish(self, scene: Scene) -> None:
        """Called by the worker for each scene."""
        camera = self._cameras.get(scene.frame.camera)
        if camera is None:
            return
        start = time.perf_counter()
        camera.publish(scene)
        publish_ms = (time.perf_counter() - start) * 1000
        age_ms = (self.get_clock().now().nanoseconds - scene.frame.stamp_ns) / 1e6
        camera.health.went_out(age_ms, scene.stage_ms | {"publish": publish_ms})

    def _on_model_error(self, error: Exception) -> None:
        text = f"the model failed on a frame, which is dropped: {type(error).__name__}: {error}"
        self._model_problem.note(text)
        self.get_logger().error(text, throttle_duration_sec=5.0)

    # --- parameters and diagnostics ---

    def _on_parameters(self, changed: list[Parameter]) -> SetParametersResult:
        """Check first, apply afterwards; all or nothing."""
        try:
            ours = [p.name for p in changed if is_ours(p.name)]
            fixed = [name for name in ours if name not in WHILE_RUNNING]
            if fixed and self._segmenter is not None:
                raise ParameterError(
                    f"{fixed[0]} cannot change while a model is loaded; deactivate and clean up the node first: "
                    f"ros2 lifecycle set {self.get_fully_qualified_name()} deactivate, then cleanup"
                )
            parameters = read_parameters(self, changed) if ours else None
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if parameters is not None and self._worker is not None:
            self._worker.settings = parameters.settings
        return SetParametersResult(successful=True)

    def _every_second(self) -> None:
        for camera in list(self._cameras.values()):
            camera.follow_publishers()
        array = DiagnosticArray(header=Header(stamp=self.get_clock().now().to_msg()))
        array.status.append(self._model_status())
        if self._worker is not None:
            array.status += [self._camera_status(c) for c in list(self._cameras.values())]
        self._diagnostics.publish(array)

    def _model_status(self) -> DiagnosticStatus:
        segmenter, vocabulary = self._segmenter, self._vocabulary
        problems = []
        if self._configure_error:
            problems.append(Problem(ERROR, self._configure_error))
        elif segmenter is None:
            problems.append(Problem(WARN, "not configured: no model is loaded"))
        elif self._worker is None:
            problems.append(Problem(WARN, "not active: images are not looked at"))
        elif self._encoded is None:
            call = f"ros2 service call {self.get_fully_qualified_name()}/set_vocabulary"
            problems.append(Problem(WARN, f"no vocabulary yet: say what to look for with {call}"))
        if self._model_problem.recent:
            problems.append(Problem(ERROR, self._model_problem.recent))
        if segmenter is not None and segmenter.caution:
            problems.append(Problem(OK, segmenter.caution))
        values: dict[str, object] = {
            "state": self._state_machine.current_state[1],
            "model": segmenter.model if segmenter else self.get_parameter("model").value,
            "device": segmenter.device if segmenter else "",
            "vocabulary version": vocabulary.version,
            "classes": ", ".join(vocabulary.names),
        }
        return status(f"{self.get_name()}: model", self.get_name(), problems, values)

    def _camera_status(self, camera: CameraTopics) -> DiagnosticStatus:
        problems = camera.problems()
        if self._encoded is not None and not camera.wanted:
            problems.append(Problem(OK, "nobody subscribes to the results: nothing is computed"))
        values = camera_values(camera.health, self._slots.skipped(camera.name))
        return status(f"{self.get_name()}: {camera.name}", camera.topic, problems, values)

    def destroy_node(self) -> None:
        """Stop and free everything, in whatever state the node is."""
        self._stop()
        self._release()
        super().destroy_node()


def main() -> None:
    """Entry point of the executable."""
    run(SegmentationNode)
