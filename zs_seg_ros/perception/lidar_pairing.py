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
_MOST_CLOUDS = 20
"""The number of clouds that wait for their image: two seconds of a LiDAR, for slow models."""
_SCENES_NS = 300_000_000
"""How long scenes are kept for clouds that arrive after them: one with the stamp of its first point is 0.1 s old."""


@dataclass(frozen=True, eq=False)
class StampedCloud:
    """A point cloud as it was received. message: a PointCloud2."""

    stamp_ns: int
    message: Any


Pairs = list[tuple[StampedCloud, Scene]]


class LidarPairing:
    """Pairs each cloud with the image that is nearest in time. Not thread-safe.

    A cloud waits until an image is as new as it is; then the nearest image gets the cloud, unless it differs by more
    than `TOLERANCE_NS`: then the cloud is dropped, and counted in `unpaired`.
    """

    def __init__(self) -> None:
        self.unpaired = 0
        self._clouds: deque[StampedCloud] = deque(maxlen=_MOST_CLOUDS)
        self._scenes: deque[Scene] = deque()

    def add_cloud(self, cloud: StampedCloud) -> Pairs:
        """Add a received cloud. Returns the clouds that have their scene now, oldest first.

        Clouds before a stamp that jumps back are forgotten.
        """
        if self._clouds and cloud.stamp_ns < self._clouds[-1].stamp_ns:
            self.unpaired += len(self._clouds)
            self._clouds.clear()
        self.unpaired += len(self._clouds) == _MOST_CLOUDS
        self._clouds.append(cloud)
        # A cloud from long before all scenes waits for the next one: time may have jumped back.
        if self._scenes and cloud.stamp_ns >= self._scenes[0].frame.stamp_ns - TOLERANCE_NS:
            return self._paired()
        return []

    def add_scene(self, scene: Scene) -> Pairs:
        """Add the next scene of the camera. Returns the clouds that have their scene now, oldest first."""
        stamp_ns = scene.frame.stamp_ns
        if self._scenes and self._scenes[-1].frame.stamp_ns > stamp_ns:  # time ran backwards
            self._scenes.clear()
        self._scenes.append(scene)
        pairs = self._paired()
        while len(self._scenes) > 2 and self._scenes[0].frame.stamp_ns < stamp_ns - _SCENES_NS:
            self._scenes.popleft()
        return pairs

    def _paired(self) -> Pairs:
        pairs = []
        while self._clouds and self._clouds[0].stamp_ns <= self._scenes[-1].frame.stamp_ns:
            cloud = self._clouds.popleft()
            distance_ns, nearest = min(
                ((abs(each.frame.stamp_ns - cloud.stamp_ns), each) for each in self._scenes),
                key=lambda each: each[0],
            )
            if distance_ns <= TOLERANCE_NS:
                pairs.append((cloud, nearest))
            else:
                self.unpaired += 1
        return pairs
