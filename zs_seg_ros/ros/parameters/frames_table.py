# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The parameters of coordinate frames, a part of `table`. Imports no ROS."""

from __future__ import annotations

from zs_seg_ros.ros.parameters.spec import ParameterGroup, ParameterSpec

FRAMES = ParameterGroup(
    "Coordinate frames",
    (
        ParameterSpec(
            "target_frame",
            "",
            "Coordinate frame of positions, boxes, clouds and markers.",
            "They are transformed by /tf at the stamp of their image, and their headers name this frame. While the "
            "transform is missing, results have no positions. Empty: the frame of the camera's images.",
        ),
        ParameterSpec(
            "target_frame_tolerance",
            0.0,
            "How much older than an image the newest transform to target_frame may be.",
            "0.0: positions are published only with a transform at the very stamp of the image.",
            range=(0.0, 10.0),
            unit="s",
        ),
    ),
)
