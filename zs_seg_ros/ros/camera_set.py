# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The cameras of the node, which follow the parameter `cameras` while it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from rclpy.lifecycle import LifecycleNode

from zs_seg_ros.perception.frame_slots import FrameSink
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.ros.camera import Camera
from zs_seg_ros.ros.camera_outputs import AlsoRequested
from zs_seg_ros.ros.log_throttle import THROTTLED
from zs_seg_ros.ros.parameters.node_parameters import CameraParameters, Parameters
from zs_seg_ros.ros.rclpy_private import lifecycle_state
from zs_seg_ros.ros.transforms import Transforms
from zs_seg_ros.shown import described

# A thread looks: rclpy's executor would check events of matched subscribers at every wake-up, and wake up for a timer,
# which takes many times as long as a look.
_WATCH_PERIOD_S = 0.1
"""How late the node notices a subscriber, at most; where images arrive, how late it follows what they noticed."""


class CameraSet:
    """Creates, changes and removes the cameras of a node. Thread-safe.

    Cameras exist from `configure` to `destroy` (`configured` is true), and receive from `activate` to `deactivate`.
    """

    def __init__(
        self,
        node: LifecycleNode,
        model: LiveModel,
        transforms: Transforms,
        also_requested: AlsoRequested,
    ) -> None:
        self._node = node
        self._model = model
        self._transforms = transforms
        self._also_requested = also_requested
        self._cameras: dict[str, Camera] = {}
        self.configured = False
        self._enabled = True
        self._slots: FrameSink | None = None  # while active
        self._lock = (
            threading.RLock()
        )  # held by whoever creates or destroys topics, never while the model runs

    def __iter__(self) -> Iterator[Camera]:
        """Iterate over the cameras of this moment."""
        with self._lock:
            return iter(tuple(self._cameras.values()))

    def get(self, name: str) -> Camera | None:
        """Return the camera with this name, if there is one."""
        return self._cameras.get(name)

    def configure(self, parameters: Parameters) -> None:
        """Create all cameras that the parameters name."""
        with self._lock:
            for camera in parameters.cameras:
                self._cameras[camera.name] = self._created(camera)
            self.configured = True
            self.apply_limits(parameters)

    def activate(self, slots: FrameSink) -> None:
        """Subscribe to every camera while its outputs have subscribers; its frames are put into its slot of `slots`."""
        with self._lock:
            self._slots = slots
            for camera in self._cameras.values():
                slots.add(camera.name)
                camera.input.start(slots)
                if camera.lidar is not None:
                    camera.lidar.activate()
        threading.Thread(target=self._watch, args=(slots,), name="subscribers", daemon=True).start()

    def _watch(self, slots: FrameSink) -> None:
        """Follow the subscribers of the outputs until the node is deactivated."""
        while self._slots is slots:
            time.sleep(_WATCH_PERIOD_S)
            try:
                self._follow_subscribers(slots)
            except Exception as error:  # rclpy may raise anything; the next look may succeed
                self._node.get_logger().error(
                    f"a camera cannot be subscribed to: {described(error)}", **THROTTLED
                )

    def _follow_subscribers(self, slots: FrameSink) -> None:
        with self._lock:
            if self._slots is slots:
                for camera in self._cameras.values():
                    camera.input.follow_subscribers(_WATCH_PERIOD_S)
                    if camera.lidar is not None:
                        camera.lidar.follow_subscribers()

    def deactivate(self) -> None:
        """Stop receiving."""
        with self._lock:
            self._slots = None
            for camera in self._cameras.values():
                camera.input.unsubscribe()
                if camera.lidar is not None:
                    camera.lidar.deactivate()

    def destroy(self) -> None:
        """Remove every camera with its topics."""
        with self._lock:
            self.configured = False
            for camera in self._cameras.values():
                camera.destroy()
            self._cameras = {}

    def apply_limits(self, parameters: Parameters) -> None:
        """Apply the parameters that can change while a camera receives."""
        for camera in self:
            camera.input.set_limits(parameters.image_limits)
            camera.input.depth_is_carried = parameters.settings.propagation == "auto"
            if camera.lidar is not None:
                camera.lidar.fixed_frame = parameters.fixed_frame

    def set_enabled(self, enabled: bool) -> None:
        """Publish results or not, of all cameras, also of those that are added later."""
        with self._lock:
            self._enabled = enabled
            for camera in self._cameras.values():
                camera.outputs.enabled = enabled

    def follow(self, parameters: Parameters) -> list[Camera]:
        """Remove cameras that are no longer listed, and create new and changed ones. Returns the created cameras."""
        with self._lock:
            if not self.configured:  # cleaned up meanwhile
                return []
            named = {camera.name: camera for camera in parameters.cameras}
            for name, camera in list(self._cameras.items()):
                if name not in named or not camera.parameters.receives_like(named[name]):
                    self._remove(camera)
            added = [
                self._add(self._created(camera))
                for name, camera in named.items()
                if name not in self._cameras
            ]
            self.apply_limits(parameters)
            return added

    def _created(self, parameters: CameraParameters) -> Camera:
        camera = Camera(self._node, parameters, self._model, self._transforms, self._also_requested)
        camera.outputs.enabled = self._enabled
        return camera

    def _remove(self, camera: Camera) -> None:
        camera.destroy()
        del self._cameras[camera.name]
        if self._slots is not None:
            self._slots.remove(camera.name)
        self._node.get_logger().info(f"camera {camera.name} is removed")

    def _add(self, camera: Camera) -> Camera:
        self._cameras[camera.name] = camera
        self._node.get_logger().info(f"camera {camera.name} is added")
        if self._slots is not None:
            camera.outputs.enable(lifecycle_state(self._node))
            self._slots.add(camera.name)
            camera.input.start(self._slots)
            if camera.lidar is not None:
                camera.lidar.enable(lifecycle_state(self._node))
                camera.lidar.activate()
        return camera

    def match_publishers(self) -> None:
        """Match the QoS of every camera's subscriptions to its publishers. Called once a second."""
        with self._lock:
            for camera in self._cameras.values():
                camera.input.match_publishers()
                if camera.lidar is not None:
                    camera.lidar.match_publishers()
