# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Inference from activate to deactivate: frames are taken from the slots, and scenes are published."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rclpy.lifecycle import LifecycleNode

from zs_seg_ros.perception.frame_slots import FrameSlots
from zs_seg_ros.perception.intake import Intake
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.perception.pipeline import Placement
from zs_seg_ros.perception.worker import Worker
from zs_seg_ros.ros.camera_set import CameraSet
from zs_seg_ros.ros.diagnostics import LastProblem
from zs_seg_ros.ros.log_throttle import THROTTLED
from zs_seg_ros.ros.parameters.node_parameters import Parameters
from zs_seg_ros.ros.recent_results import RecentResults
from zs_seg_ros.ros.target_selection import TargetSelection
from zs_seg_ros.ros.transforms import CameraPoses, Transforms
from zs_seg_ros.shown import described, quoted
from zs_seg_ros.types import Frame, Pose, Scene


class SegmentationRun:
    """Segments the newest frames of all cameras and publishes the results, until it is stopped.

    problem: the last error of the model, for diagnostics.
    """

    def __init__(
        self,
        node: LifecycleNode,
        model: LiveModel,
        cameras: CameraSet,
        recent: RecentResults,
        target: TargetSelection,
        transforms: Transforms,
        parameters: Parameters,
    ) -> None:
        self.problem = LastProblem()
        self._slots = FrameSlots(())
        self._node = node
        self._cameras = cameras
        self._recent = recent
        self._target = target
        self._transforms = transforms
        self._poses = CameraPoses(transforms, parameters.fixed_frame)
        self._in_target_frame = CameraPoses(transforms, parameters.target_frame)
        self._worker = Worker(
            model, self._slots, self._publish, self._on_failure, self._pose_of, self._placement_of
        )
        self.apply(parameters)

    @property
    def intake(self) -> Intake:
        """Where cameras put their frames."""
        return self._worker.intake

    def start(self) -> None:
        """Start the worker and subscribe to the cameras."""
        self._worker.start()
        self._cameras.activate(self.intake)

    def stop(self, timeout_s: float) -> None:
        """Stop receiving and publishing; wait at most `timeout_s` seconds for the batch in progress."""
        self._cameras.deactivate()
        self._transforms.stop()
        if not self._worker.stop(timeout_s):
            self._node.get_logger().error("the model does not return; its thread is left behind")

    def apply(self, parameters: Parameters) -> None:
        """Use other parameters from the next batch on."""
        settings = parameters.settings
        was_carried = self._worker.settings.propagation != "off"
        self._worker.settings = settings
        self._slots.set_min_period(parameters.min_inference_period_s)
        self._slots.set_priorities({camera.name: camera.priority for camera in parameters.cameras})
        with_depth = any(camera.depth for camera in parameters.cameras)
        with_lidar = any(camera.lidar for camera in parameters.cameras)
        needs_poses = settings.propagation == "auto" or parameters.target_frame
        if with_lidar or (with_depth and needs_poses):
            self._transforms.start()
        else:
            self._transforms.stop()
        self._in_target_frame.fixed_frame = parameters.target_frame
        self._in_target_frame.tolerance_ns = round(parameters.target_frame_tolerance_s * 1e9)
        # Poses in two fixed frames do not fit, and carried results end with the mode.
        moved = self._poses.fixed_frame != parameters.fixed_frame
        self._poses.fixed_frame = parameters.fixed_frame
        if moved or was_carried != (settings.propagation != "off"):
            self.intake.reset()

    def _pose_of(self, frame: Frame) -> Pose | None:
        """Return the pose of a frame's camera, and report when it is not known. Called by the worker."""
        lookup = self._poses.lookup(frame)
        camera = self._cameras.get(frame.camera)
        if lookup.pose is None and camera is not None:
            camera.health.no_pose.note(
                f"results are carried by optical flow alone, without the camera's pose: {lookup.reason}"
            )
        return lookup.pose

    def _placement_of(self, frame: Frame) -> Placement | None:
        """Return the pose of a frame's camera in the frame for positions. Called by the worker."""
        target_frame = self._in_target_frame.fixed_frame
        if not target_frame:
            return None
        if not frame.frame_id:
            reason = f"the images name no frame: set {frame.camera}.frame_id"
            return Placement(target_frame, None, _without_positions(target_frame, reason))
        lookup = self._in_target_frame.lookup(frame)
        return Placement(target_frame, lookup.pose, _without_positions(target_frame, lookup.reason))

    def _publish(self, scene: Scene) -> None:
        """Publish one scene on the topics of its camera. Called by the worker."""
        camera = self._cameras.get(scene.frame.camera)
        if camera is None or not camera.outputs.enabled:  # since inference on its frame began
            return
        start = time.perf_counter()
        camera.outputs.publish(scene)
        self._recent.add(scene)
        self._target.on_scene(scene)
        if camera.lidar is not None:
            camera.lidar.on_scene(scene)
        publish_ms = (time.perf_counter() - start) * 1000
        if scene.depth_problem and camera.input.depth is not None:
            camera.input.depth.bad_depth.note(scene.depth_problem)
        now_ns = self._node.get_clock().now().nanoseconds
        from_ns = scene.propagated_from_ns
        if scene.segmentation.presence is not None:
            camera.health.presence = scene.presence
        camera.health.record_published(
            (now_ns - scene.frame.stamp_ns) / 1e6,
            scene.stage_ms | {"publish": publish_ms},
            None if from_ns is None else (now_ns - from_ns) / 1e6,
        )

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


def _without_positions(target_frame: str, reason: str) -> str:
    return f"results have no positions in target_frame {quoted(target_frame)}: {reason}"
