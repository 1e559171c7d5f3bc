"""`segmentation_node`: lifecycle and wiring, nothing else."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_msgs.msg import Header

import zs_seg_ros.msg as messages
import zs_seg_ros.srv as services
from zs_seg_ros.errors import ImageError, ZeroShotSegmentationError
from zs_seg_ros.images.message_images import stamp_ns
from zs_seg_ros.perception.frame_slots import FrameSlots
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.perception.worker import Worker
from zs_seg_ros.ros.camera import CameraTopics
from zs_seg_ros.ros.conversions import classes_from_messages, vocabulary_message
from zs_seg_ros.ros.diagnostics import (
    ERROR,
    OK,
    WARN,
    LastProblem,
    Problem,
    camera_status,
    model_status,
)
from zs_seg_ros.ros.parameters import (
    ParameterError,
    Parameters,
    declare_parameters,
    is_ours,
    needs_cleanup,
    read_parameters,
)
from zs_seg_ros.ros.process import run
from zs_seg_ros.ros.qos import LATCHED, NO_PUBLISHER_EVENTS
from zs_seg_ros.ros.saved_vocabulary import SavedVocabulary
from zs_seg_ros.ros.scene_messages import label_info_message
from zs_seg_ros.ros.segment_service import answer
from zs_seg_ros.types import Frame, RgbImage, Scene

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


# By a clock that nobody sets back: rclpy's own would keep silent for the hour that it is set back by.
_NOT_TOO_OFTEN = {
    "throttle_duration_sec": 5.0,
    "throttle_time_source_type": Clock(clock_type=ClockType.STEADY_TIME),
}


class SegmentationNode(LifecycleNode):
    """Finds the classes of one vocabulary in the images of any number of cameras."""

    def __init__(self, name: str = "zs_seg", **arguments: Any) -> None:
        super().__init__(name, **arguments)
        self._model = LiveModel(lambda: self.get_clock().now().nanoseconds)
        self._worker: Worker | None = None
        self._slots = FrameSlots(())
        self._cameras: dict[str, CameraTopics] = {}
        # Held by whoever makes, destroys or walks through topics of cameras; never while the model works.
        self._topics_lock = threading.Lock()
        self._configure_error = ""
        self._model_problem = LastProblem()
        self._saved = SavedVocabulary(self.get_logger())
        declare_parameters(self)
        self._chosen: Parameters  # since configure
        self._follows_cameras = False
        self._cameras_problem = ""
        self.add_on_set_parameters_callback(self._on_parameters)
        self._create_interface()
        if self.get_parameter("autostart").value:
            self._autostart_timer = self._steady_timer(0.01, self._autostart)

    def _create_interface(self) -> None:
        self._vocabulary_publisher = self.create_lifecycle_publisher(
            messages.Vocabulary, "~/vocabulary", LATCHED, event_callbacks=NO_PUBLISHER_EVENTS
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
        self.create_service(
            services.SegmentImage,
            "~/segment",
            self._on_segment,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )
        self._diagnostics = self.create_publisher(
            DiagnosticArray, "/diagnostics", 10, event_callbacks=NO_PUBLISHER_EVENTS
        )
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

    # --- lifecycle ---

    def _autostart(self) -> None:
        self._autostart_timer.cancel()
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Check parameters, load the model, prepare the vocabulary, warm up."""
        try:
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
        self._chosen = parameters = read_parameters(self)
        self.get_logger().info(f"loading {parameters.model}")
        first = self._saved.first(parameters)
        for warning in self._model.load(parameters.model, parameters.options, first):
            self.get_logger().warning(warning)
        assert self._model.segmenter is not None
        if self._model.segmenter.caution:
            self.get_logger().warning(self._model.segmenter.caution)
        with self._topics_lock:
            for camera in parameters.cameras:
                self._cameras[camera.name] = CameraTopics(self, camera)
            self._follows_cameras = True
        self.get_logger().info(f"{parameters.model} is ready on {self._model.segmenter.device}")

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and publish."""
        super().on_activate(state)
        self._publish_vocabulary()
        with self._topics_lock:
            self._slots = FrameSlots(self._cameras)
            self._worker = Worker(self._model, self._slots, self._publish, self._on_failure)
            self._worker.settings = self._chosen.settings
            self._worker.start()
            for camera in self._cameras.values():
                camera.subscribe(self._on_image, self._slots.put, self._longest_side)
        self.get_logger().info("active")
        return SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop both; model and vocabulary stay."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model and its memory."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop()
        self._release()
        return super().on_shutdown(state)

    def _stop(self, patience_s: float = 2.5) -> None:
        with self._topics_lock:
            for camera in self._cameras.values():
                camera.unsubscribe()
            worker, self._worker = self._worker, None
        if worker is not None and not worker.stop(patience_s):
            self.get_logger().error("the model does not return; its thread is left behind")

    def _release(self, patience_s: float = -1.0) -> None:
        with self._topics_lock:
            self._follows_cameras = False
            for camera in self._cameras.values():
                camera.destroy()
            self._cameras = {}
        self._model.free(patience_s)

    def destroy_node(self) -> None:
        """Stop and free everything, in whatever state the node is; a model that is at work is not waited for long."""
        self._stop(patience_s=0.7)
        self._release(patience_s=0.3)
        super().destroy_node()
        # rclpy forgets it, and with it DDS would leave its shared memory behind.
        self._state_machine.destroy_when_not_in_use()

    # --- vocabulary ---

    def _on_set_vocabulary(
        self, request: services.SetVocabulary.Request, response: services.SetVocabulary.Response
    ) -> services.SetVocabulary.Response:
        try:
            parameters = read_parameters(self)
            classes = classes_from_messages(request.classes, parameters.max_image_side)
            warnings = self._model.change_vocabulary(classes, parameters.limits)
            self._publish_vocabulary()
            not_saved = self._saved.save(self._model.vocabulary, parameters.vocabulary_file)
            response.warnings = [*warnings, *not_saved]
            response.success = True
        except Exception as error:
            response.message = self._reason(error, "this vocabulary")
        names = ", ".join(self._model.vocabulary.names) or "nothing"
        outcome = f"vocabulary refused: {response.message}" if response.message else "accepted"
        self.get_logger().info(f"{outcome}; looking for {names}")
        return self._on_get_vocabulary(request, response)

    def _on_get_vocabulary(self, _request: Any, response: Any) -> Any:
        response.vocabulary = vocabulary_message(self._model.vocabulary)
        return response

    def _on_segment(
        self, request: services.SegmentImage.Request, response: services.SegmentImage.Response
    ) -> services.SegmentImage.Response:
        try:
            answer(request, response, self._model, read_parameters(self))
        except Exception as error:
            response = services.SegmentImage.Response(message=self._reason(error, "this image"))
            self.get_logger().warning(f"segment refused: {response.message}")
        return response

    def _reason(self, error: Exception, what: str) -> str:
        """Why a request is refused. The model may raise anything; the caller must get an answer."""
        if isinstance(error, ZeroShotSegmentationError | ParameterError):
            return str(error)
        self.get_logger().error("".join(traceback.format_exception(error)))
        return f"the model fails on {what}: {type(error).__name__}: {error}"

    def _publish_vocabulary(self) -> None:
        with self._topics_lock:  # and so the last one that is published is the one in force
            self._vocabulary_publisher.publish(vocabulary_message(self._model.vocabulary))
            for camera in self._cameras.values():
                self._publish_label_info(camera)

    def _publish_label_info(self, camera: CameraTopics) -> None:
        header = Header(stamp=self.get_clock().now().to_msg())
        threshold = self._chosen.settings.default_threshold
        camera.publish_label_info(label_info_message(self._model.vocabulary, header, threshold))

    # --- frames ---

    def _on_image(self, camera: CameraTopics, message: Any, read: Callable[[], RgbImage]) -> None:
        camera.health.count_received()
        with self._topics_lock:  # cleanup may be taking the publishers down
            requested = camera.requested() if self._cameras.get(camera.name) is camera else None
        if self._model.encoded is None or requested is None:
            return
        header = message.header
        try:
            stamp, now = stamp_ns(header.stamp), time.monotonic_ns()
            image = read()
            frame = Frame(camera.name, image, stamp, header.frame_id, now, requested=requested)
        except ImageError as error:
            camera.health.refused(str(error))
            self.get_logger().warning(f"{camera.name}: {error}", **_NOT_TOO_OFTEN)
            return
        camera.add_frame(frame)

    def _longest_side(self) -> int:
        return self._chosen.max_image_side

    def _publish(self, scene: Scene) -> None:
        """Called by the worker for each scene."""
        camera = self._cameras.get(scene.frame.camera)
        if camera is None:
            return
        start = time.perf_counter()
        camera.publish(scene)
        if scene.depth_problem:
            camera.note_depth_problem(scene.depth_problem)
        publish_ms = (time.perf_counter() - start) * 1000
        age_ms = (self.get_clock().now().nanoseconds - scene.frame.stamp_ns) / 1e6
        camera.health.record_published(age_ms, scene.stage_ms | {"publish": publish_ms})

    def _on_failure(self, error: Exception, frames: Sequence[Frame]) -> None:
        """Called by the worker for a batch that the model raised on."""
        text = f"the model failed on a frame, which is dropped: {type(error).__name__}: {error}"
        self._drop(frames, text)

    def _drop(self, frames: Sequence[Frame], why: str) -> None:
        for frame in frames:
            if camera := self._cameras.get(frame.camera):
                camera.health.failed()
        self._model_problem.note(why)
        self.get_logger().error(why, **_NOT_TOO_OFTEN)

    def _give_up_a_hanging_batch(self) -> None:
        worker = self._worker
        if worker is None or not self._chosen.model_timeout_s:
            return
        limit_s = self._chosen.model_timeout_s
        work = worker.give_up_after(limit_s)
        if work is not None:
            self._drop(
                work.frames,
                f"the model did not return within model_timeout ({limit_s:g} s): its frames are dropped and it is "
                "called anew; if it goes on like that, restart the node, or raise model_timeout for a slow model",
            )

    # --- parameters and diagnostics ---

    def _on_parameters(self, changed: list[Parameter]) -> SetParametersResult:
        """Check first, apply afterwards; all or nothing."""
        ours = [parameter.name for parameter in changed if is_ours(parameter.name)]
        fixed = [name for name in ours if needs_cleanup(name)]
        if fixed and self._model.segmenter is not None:
            reason = (
                f"{fixed[0]} cannot change while a model is loaded; first: ros2 lifecycle set "
                f"{self.get_fully_qualified_name()} deactivate, and then cleanup"
            )
            return SetParametersResult(successful=False, reason=reason)
        try:
            parameters = read_parameters(self, changed)
        except ParameterError as error:
            return SetParametersResult(successful=not ours, reason=str(error))
        self._chosen = parameters
        if self._worker is not None:
            self._worker.settings = parameters.settings
        return SetParametersResult(successful=True)

    def _follow_cameras(self) -> None:
        """Leave cameras that are not named any more, and take up new and changed ones. Called with the lock held."""
        try:
            declare_parameters(self)  # of cameras that were named meanwhile
            requested = {camera.name: camera for camera in read_parameters(self).cameras}
        except (ParameterError, ParameterException) as error:  # what a file says of a new camera
            self._cameras_problem = f"the cameras stay as they are: {error}"
            return
        self._cameras_problem = ""
        for name, camera in list(self._cameras.items()):
            if camera.parameters != requested.get(name):
                camera.destroy()
                self._slots.remove(name)
                del self._cameras[name]
                self.get_logger().info(f"the camera {name} is left")
        for name, parameters in requested.items():
            if name not in self._cameras:
                self._add_camera(CameraTopics(self, parameters))

    def _add_camera(self, camera: CameraTopics) -> None:
        self._cameras[camera.name] = camera
        self.get_logger().info(f"the camera {camera.name} is taken up")
        if self._worker is not None:
            camera.enable(self._state_machine.current_state)
            self._publish_label_info(camera)
            self._slots.add(camera.name)
            camera.subscribe(self._on_image, self._slots.put, self._longest_side)

    def _every_second(self) -> None:
        self._give_up_a_hanging_batch()
        array = DiagnosticArray(header=Header(stamp=self.get_clock().now().to_msg()))
        with self._topics_lock:
            if self._follows_cameras:
                self._follow_cameras()
            array.status.append(self._model_status())
            for camera in self._cameras.values():
                camera.follow_publishers()
                if self._worker is not None:
                    array.status.append(self._camera_status(camera))
        self._diagnostics.publish(array)

    def _model_status(self) -> DiagnosticStatus:
        problems = []
        if self._configure_error:
            problems.append(Problem(ERROR, self._configure_error))
        if self._model_problem.recent:
            problems.append(Problem(ERROR, self._model_problem.recent))
        if self._cameras_problem:
            problems.append(Problem(ERROR, self._cameras_problem))
        problems += [Problem(WARN, text) for text in self._saved.problems()]
        return model_status(
            self.get_fully_qualified_name(),
            self._state_machine.current_state[1],
            self.get_parameter("model").value,
            self._model,
            problems,
        )

    def _camera_status(self, camera: CameraTopics) -> DiagnosticStatus:
        problems = camera.problems()
        if self._model.encoded is not None and camera.requested() is None:
            problems.append(Problem(OK, "nobody subscribes to the results: nothing is computed"))
        name = f"{self.get_fully_qualified_name()}: {camera.name}"
        skipped = self._slots.skipped(camera.name)
        status = camera_status(name, camera.topic, camera.health, skipped, problems)
        if status.level != OK and camera.health.take_log_turn():
            self.get_logger().warning(f"{camera.name}: {status.message}")
        return status


def main() -> None:
    """Entry point of the executable."""
    run(SegmentationNode)
