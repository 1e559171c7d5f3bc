# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Pairs the point clouds of a LiDAR with the segmented images of a camera, by their stamps."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from zs_seg_ros.types import Scene

TOLERANCE_NS = 100_000_000
"""The largest difference of the stamps: a LiDAR turns ten times a second, and its cloud has one stamp."""
_KEPT = 20
"""The number of clouds that wait for their image: two seconds of a LiDAR, for slow models."""


@dataclass(frozen=True, eq=False)
class StampedCloud:
    """A point cloud as it was received. message: a PointCloud2."""

    stamp_ns: int
    message: Any


class LidarPairing:
    """Pairs each cloud with the image that is nearest in time. Not thread-safe.

    A cloud waits until an image is as new as it is; then the nearer one of that image and the one before it gets the
    cloud, unless both differ by more than `TOLERANCE_NS`: then it is dropped, and counted in `unpaired`.
    """

    def __init__(self) -> None:
        self.unpaired = 0
        self._clouds: deque[StampedCloud] = deque(maxlen=_KEPT)
        self._before: Scene | None = None

    def add_cloud(self, cloud: StampedCloud) -> None:
        """Add a received cloud. Clouds before a stamp that jumps back are forgotten."""
        if self._clouds and cloud.stamp_ns < self._clouds[-1].stamp_ns:
            self.unpaired += len(self._clouds)
            self._clouds.clear()
        self.unpaired += len(self._clouds) == _KEPT
        self._clouds.append(cloud)

    def add_scene(self, scene: Scene) -> list[tuple[StampedCloud, Scene]]:
        """Add the next scene of the camera. Returns the clouds that have their scene now, oldest first."""
        before, self._before = self._before, scene
        stamp_ns = scene.frame.stamp_ns
        if before is not None and before.frame.stamp_ns > stamp_ns:  # time ran backwards
            before = None
        pairs = []
        while self._clouds and self._clouds[0].stamp_ns <= stamp_ns:
            cloud = self._clouds.popleft()
            nearest = min(
                (each for each in (before, scene) if each is not None),
                key=lambda each: abs(each.frame.stamp_ns - cloud.stamp_ns),
            )
            if abs(nearest.frame.stamp_ns - cloud.stamp_ns) <= TOLERANCE_NS:
                pairs.append((cloud, nearest))
            else:
                self.unpaired += 1
        return pairs
