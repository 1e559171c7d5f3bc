# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The parameters of the model's pace and of propagation, a part of `table`. Imports no ROS."""

from __future__ import annotations

from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.ros.parameters.spec import ParameterGroup, ParameterSpec

PROPAGATIONS = ("off", "auto", "flow")

PACE = ParameterGroup(
    "Pace and propagation",
    (
        ParameterSpec(
            "propagation",
            Settings.propagation,
            "Carry results to every image of a camera that is faster than the model: off, auto or flow.",
            "With flow they follow optical flow; with auto the depth images and the camera's pose on /tf where both "
            "are there, and the flow elsewhere. With off only images that the model has segmented get results.",
            choices=PROPAGATIONS,
        ),
        ParameterSpec(
            "fixed_frame",
            "odom",
            "Coordinate frame in which the world stands still, for propagation auto.",
            "The poses of the cameras in it are looked up on /tf, by the frame_id of their images.",
        ),
        ParameterSpec(
            "inference_every",
            0,
            "With propagation: the model segments every n-th image of a camera, and is waited for.",
            "Results then do not depend on the speed of the model, as regression tests require. "
            "0: it segments the newest image whenever it is ready.",
            range=(0, 1000),
        ),
        ParameterSpec(
            "min_inference_period",
            0.0,
            "Least time from the start of one inference to that of the next.",
            "It leaves the device to other programs. Images in between are left out, and counted on /diagnostics, or "
            "get carried results with propagation. 0.0: none.",
            range=(0.0, 3600.0),
            unit="s",
        ),
        ParameterSpec(
            "detection_interval",
            Settings.detection_interval_s,
            "With a model that has a video memory: time from one detection in a camera's images to the next.",
            "In the images between, the memory follows what was detected, and new objects are not noticed. Models "
            "without one detect in every image. 0.0: every image.",
            range=(0.0, 3600.0),
            unit="s",
        ),
    ),
)
