# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The parameters that each camera of segmentation_node has, a part of `table`. Imports no ROS."""

from __future__ import annotations

from zs_seg_ros.ros.parameters.spec import ParameterGroup, ParameterSpec

RELIABILITIES = ("auto", "reliable", "best_effort")
TRANSPORTS = ("raw", "compressed", "ffmpeg")
DEPTH_TRANSPORTS = ("raw", "compressed")

EACH_CAMERA = ParameterGroup(
    "Each camera",
    (
        ParameterSpec(
            "CAM.reliability",
            "auto",
            "QoS reliability of the camera's subscriptions: auto, reliable or best_effort.",
            "With auto it follows what the publishers offer.",
            choices=RELIABILITIES,
        ),
        ParameterSpec(
            "CAM.transport",
            "raw",
            "Transport of the images: raw, compressed or ffmpeg.",
            "With raw the node subscribes to /CAM/image_raw, with compressed to /CAM/image_raw/compressed (JPEG, PNG "
            "or video), with ffmpeg to /CAM/image_raw/ffmpeg (video of ffmpeg_image_transport).",
            choices=TRANSPORTS,
        ),
        ParameterSpec(
            "CAM.image_topic",
            "",
            "Name of the image topic.",
            "With a compressed transport it is the topic of the compressed images, with its suffix. A name without a "
            "slash in front is relative to the node's namespace. Empty: the name that follows from the transport.",
        ),
        ParameterSpec(
            "CAM.rotation",
            0,
            "Rotation of the images, clockwise, that turns them upright for the model.",
            "Results are turned back and fit the image as it was received.",
            range=(0, 270),
            step=90,
            unit="degrees",
        ),
        ParameterSpec(
            "CAM.frame_id",
            "",
            "Coordinate frame of images whose header names none.",
            "Results carry it in their headers. Empty: headers stay without a frame.",
        ),
        ParameterSpec(
            "CAM.depth",
            False,
            "Use depth images and publish positions in metres.",
            "With true the node also subscribes to /CAM/depth/image_raw, registered to the colour image, and to "
            "/CAM/camera_info, and publishes positions of objects, ~/CAM/points and ~/CAM/markers.",
        ),
        ParameterSpec(
            "CAM.depth_transport",
            "raw",
            "Transport of the depth images: raw or compressed.",
            "With raw the node subscribes to /CAM/depth/image_raw, with compressed to "
            "/CAM/depth/image_raw/compressedDepth.",
            choices=DEPTH_TRANSPORTS,
        ),
        ParameterSpec(
            "CAM.depth_topic",
            "",
            "Name of the topic of depth images.",
            "With depth_transport compressed it is the topic of the compressed ones, with its suffix. Empty: the name "
            "that follows from depth_transport.",
        ),
        ParameterSpec(
            "CAM.info_topic",
            "",
            "Name of the topic of the colour camera's camera_info.",
            "Empty: /CAM/camera_info.",
        ),
        ParameterSpec(
            "CAM.depth_scale",
            0.0,
            "Metres that a depth value of 1 stands for.",
            "0.0 stands for the units of REP 118: millimetres in 16UC1, metres in 32FC1.",
            range=(0.0, 1000.0),
            unit="m",
        ),
        ParameterSpec(
            "CAM.lidar",
            "",
            "Name of the topic of a LiDAR's point clouds, which get the labels of this camera's images.",
            "The labelled clouds are published on ~/CAM/lidar_points. It needs camera_info, and the frames of LiDAR "
            "and camera on /tf. Empty: none.",
        ),
        ParameterSpec(
            "CAM.mask_classes",
            ("",),
            "Names of the classes that ~/CAM/mask marks with 255.",
            'Names that are not in the vocabulary mark nothing. [""]: all classes.',
        ),
        ParameterSpec(
            "CAM.priority",
            0,
            "Priority of the camera's images for the model; the highest goes first.",
            "Of the cameras that wait, those with the highest priority are inferred; one whose priority is lower by n "
            "is passed over at most n times in a row.",
            range=(0, 100),
        ),
    ),
)
