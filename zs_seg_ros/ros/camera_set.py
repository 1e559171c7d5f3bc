"""The cameras of the node, which follow the parameter `cameras` while it runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from rclpy.lifecycle import LifecycleNode

from zs_seg_ros.perception.frame_slots import FrameSink
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.ros.camera import Camera
from zs_seg_ros.ros.camera_outputs import AlsoRequested
from zs_seg_ros.ros.parameters.node_parameters import CameraParameters, Parameters
from zs_seg_ros.ros.rclpy_private import lifecycle_state


class CameraSet:
    """Creates, changes and removes the cameras of a node. Thread-safe.

    Cameras exist from `configure` to `destroy` (`configured` is true), and receive from `activate` to `deactivate`.
    """

    def __init__(
        self, node: LifecycleNode, model: LiveModel, also_requested: AlsoRequested
    ) -> None:
        self._node = node
        self._model = model
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
        """Subscribe to every camera; its frames are put into its slot of `slots`."""
        with self._lock:
            self._slots = slots
            for camera in self._cameras.values():
                slots.add(camera.name)
                camera.input.subscribe(slots)

    def deactivate(self) -> None:
        """Stop receiving."""
        with self._lock:
            self._slots = None
            for camera in self._cameras.values():
                camera.input.unsubscribe()

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
        camera = Camera(self._node, parameters, self._model, self._also_requested)
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
            camera.input.subscribe(self._slots)
        return camera

    def match_publishers(self) -> None:
        """Match the QoS of every camera's subscriptions to its publishers. Called once a second."""
        with self._lock:
            for camera in self._cameras.values():
                camera.input.match_publishers()
