"""Inference from activate to deactivate: frames are taken from the slots, and scenes are published."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rclpy.lifecycle import LifecycleNode

from zs_seg_ros.perception.frame_slots import FrameSlots
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.perception.worker import Worker
from zs_seg_ros.ros.camera_set import CameraSet
from zs_seg_ros.ros.diagnostics import LastProblem
from zs_seg_ros.ros.log_throttle import THROTTLED
from zs_seg_ros.ros.target_selection import TargetSelection
from zs_seg_ros.shown import described
from zs_seg_ros.types import Frame, Scene


class SegmentationRun:
    """Segments the newest frames of all cameras and publishes the results, until it is stopped.

    problem: the last error of the model, for diagnostics.
    """

    def __init__(
        self,
        node: LifecycleNode,
        model: LiveModel,
        cameras: CameraSet,
        target: TargetSelection,
        settings: Settings,
    ) -> None:
        self.problem = LastProblem()
        self.slots = FrameSlots(())
        self._node = node
        self._cameras = cameras
        self._target = target
        self._worker = Worker(model, self.slots, self._publish, self._on_failure)
        self._worker.settings = settings

    def start(self) -> None:
        """Start the worker and subscribe to the cameras."""
        self._worker.start()
        self._cameras.activate(self.slots)

    def stop(self, timeout_s: float) -> None:
        """Stop receiving and publishing; wait at most `timeout_s` seconds for the batch in progress."""
        self._cameras.deactivate()
        if not self._worker.stop(timeout_s):
            self._node.get_logger().error("the model does not return; its thread is left behind")

    def apply(self, settings: Settings) -> None:
        """Use other settings from the next batch on."""
        self._worker.settings = settings

    def _publish(self, scene: Scene) -> None:
        """Publish one scene on the topics of its camera. Called by the worker."""
        camera = self._cameras.get(scene.frame.camera)
        if camera is None:  # removed during inference on its frame
            return
        start = time.perf_counter()
        camera.outputs.publish(scene)
        self._target.on_scene(scene)
        publish_ms = (time.perf_counter() - start) * 1000
        if scene.depth_problem and camera.input.depth is not None:
            camera.input.depth.bad_depth.note(scene.depth_problem)
        age_ms = (self._node.get_clock().now().nanoseconds - scene.frame.stamp_ns) / 1e6
        camera.health.record_published(age_ms, scene.stage_ms | {"publish": publish_ms})

    def _on_failure(self, error: Exception, frames: Sequence[Frame]) -> None:
        """Report a batch on which the model raised an error. Called by the worker."""
        self._drop(
            frames,
            f"the model failed on a frame, which is dropped: {described(error)}",
        )

    def give_up_after(self, limit_s: float) -> None:
        """Drop a batch that the model has not finished within `limit_s` seconds; 0: never. Called once a second."""
        work = self._worker.give_up_after(limit_s) if limit_s else None
        if work is not None:
            self._drop(
                work.frames,
                f"the model did not return within model_timeout ({limit_s:g} s): its frames are dropped and it is "
                "called anew; if it goes on like that, restart the node, or raise model_timeout for a slow model",
            )

    def _drop(self, frames: Sequence[Frame], why: str) -> None:
        for frame in frames:
            if camera := self._cameras.get(frame.camera):
                camera.health.count_failed()
        self.problem.note(why)
        self._node.get_logger().error(why, **THROTTLED)
