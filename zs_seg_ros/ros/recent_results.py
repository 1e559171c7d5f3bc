# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The newest results of each camera, for services that refer to an object in an image by its stamp."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import TypeVar

from zs_seg_ros.errors import NotTrackedError, SelectionError
from zs_seg_ros.perception.target import RecentScenes, SceneObjects
from zs_seg_ros.requested_outputs import RequestedOutputs
from zs_seg_ros.shown import quoted
from zs_seg_ros.types import Frame, Scene

_PATIENCE_S = 5.0
_ATTEMPTS = 3
"""Images in which no object may fit before the request is refused; one without a track id is waited for."""
_HOLD_IMAGES_S = 60.0
"""How long after the last request that needs images those before the newest one are held."""

Answer = TypeVar("Answer")


class RecentResults:
    """Remembers the detections of each camera for a few seconds. Thread-safe.

    changed: its lock, held while a camera's results change; notified at each scene. The scenes of a camera for which a
    request waits have objects and surfaces, whether or not there are subscribers to them.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._camera_names: tuple[str, ...] = ()
        self._recent: defaultdict[str, RecentScenes] = defaultdict(RecentScenes)
        self._waiting: Counter[str] = Counter()
        self._received: Counter[str] = Counter()
        self._hold_images_until_s = float("-inf")

    def configure(self, cameras: tuple[str, ...]) -> None:
        """Accept requests for these cameras, and forget all others."""
        with self.changed:
            self._camera_names = cameras
            for name in set(self._recent) - {*cameras}:
                del self._recent[name]

    def reset(self) -> None:
        """Forget all scenes."""
        with self.changed:
            self._recent.clear()
            self._hold_images_until_s = float("-inf")

    def requested(self, camera: str) -> RequestedOutputs | None:
        """Return the stages that requests wait for; None without any."""
        with self.changed:
            waits = self._waiting[camera] > 0
        return RequestedOutputs(objects=True, surfaces=True) if waits else None

    def hold_images(self) -> None:
        """Hold the images of the last seconds from now on, and not the newest one of each camera alone."""
        with self.changed:
            self._hold_images_until_s = time.monotonic() + _HOLD_IMAGES_S

    def add(self, scene: Scene) -> None:
        """Remember the next scene of its camera. Called by the worker."""
        if not scene.frame.requested.objects:
            return
        with self.changed:
            hold = time.monotonic() < self._hold_images_until_s
            self._recent[scene.frame.camera].add(scene, hold_images=hold)
            self._received[scene.frame.camera] += 1
            self.changed.notify_all()

    def newest(self, camera: str) -> SceneObjects:
        """Return the newest scene of a camera. Raises SelectionError without one."""
        with self.changed:
            return self._recent[camera].at(0)

    def frames_from(self, camera: str, stamp_ns: int) -> list[Frame]:
        """Return the images of a camera that are held from the one with this stamp on."""
        with self.changed:
            return self._recent[camera].frames_from(stamp_ns)

    def camera_of(self, name: str) -> str:
        """Return the camera that a request names. Raises SelectionError for none, or when an empty name is open."""
        with self.changed:
            names = self._camera_names
        if not names:
            raise SelectionError("no camera is configured: configure and activate the node first")
        if not name and len(names) > 1:
            raise SelectionError(f"camera is empty and the node has {len(names)}: name one of them")
        if name and name not in names:
            raise SelectionError(f"there is no camera {quoted(name)}: the first one is {names[0]}")
        return name or names[0]

    def first_that_fits(
        self, camera: str, stamp_ns: int, choose: Callable[[SceneObjects], Answer]
    ) -> Answer:
        """Return what `choose` makes of the image with this stamp or, for 0, of the next image in which it succeeds.

        Call it with the lock. Raises the SelectionError of `choose` after a few images, or when none comes.
        """
        if stamp_ns:
            return choose(self._recent[camera].at(stamp_ns))
        self._waiting[camera] += 1
        try:
            deadline, missed = time.monotonic() + _PATIENCE_S, 0
            while True:
                self._wait_for_scene(camera, deadline)
                try:
                    return choose(self._recent[camera].at(0))
                except SelectionError as error:
                    missed += not isinstance(error, NotTrackedError)
                    if missed == _ATTEMPTS or time.monotonic() > deadline:
                        raise
        finally:
            self._waiting[camera] -= 1

    def _wait_for_scene(self, camera: str, deadline: float) -> None:
        count = self._received[camera]
        self.changed.wait_for(
            lambda: self._received[camera] > count, max(0.0, deadline - time.monotonic())
        )
        if self._received[camera] == count:
            raise SelectionError(
                f"no image of {camera} was segmented within {_PATIENCE_S:g} s: activate the node, set a vocabulary "
                "and have the camera publish"
            )
