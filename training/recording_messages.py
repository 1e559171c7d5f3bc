# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Converts renderings to ROS messages, for a bag that is written without ROS."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from training.recorded_scenes import View
from training.scene import FAR_M, HEIGHT, WIDTH

WORLD_FRAME = "map"
LINK_FRAME = "camera_link"
OPTICAL_FRAME = "camera_color_optical_frame"

NO_RETURN_BEYOND_M = 0.99 * FAR_M
"""A depth camera gives 0 where it measures nothing; the renderer gives its far plane."""

# vision_msgs 4.1; rosbags defines neither of the two.
VISION_CLASS = "uint16 class_id\nstring class_name\n"
LABEL_INFO = "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n"


def typestore_with_label_info() -> Typestore:
    """The message types of Jazzy and vision_msgs/LabelInfo."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in (("VisionClass", VISION_CLASS), ("LabelInfo", LABEL_INFO)):
        full_name = f"vision_msgs/msg/{name}"
        if full_name not in store.types:
            store.register(get_types_from_msg(text, full_name))
    return store


def camera_matrix(vertical_fov_deg: float) -> NDArray[np.float64]:
    """(3, 3): K of pybullet's TinyRenderer, in pixels, with the centre of the first pixel at (0, 0).

    The renderer samples pixels at their corners and turns the image upside down at the end: the optical axis
    goes through (width / 2, height / 2 - 1). Measured on rendered spheres to 0.01 pixels; see the tests.
    """
    focal_px = HEIGHT / 2 / np.tan(np.radians(vertical_fov_deg) / 2)
    return np.array([[focal_px, 0, WIDTH / 2], [0, focal_px, HEIGHT / 2 - 1], [0, 0, 1.0]])


def depth_in_millimetres(depth_m: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return 16UC1 as depth cameras publish it (REP 118): 0 where there is no measurement."""
    millimetres = np.round(depth_m * 1000.0)
    return np.where(depth_m < NO_RETURN_BEYOND_M, millimetres, 0).astype(np.uint16)


class Messages:
    """Makes messages of one typestore."""

    def __init__(self, store: Typestore) -> None:
        self._types: dict[str, Any] = dict(store.types)

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        seconds, nanoseconds = divmod(stamp_ns, 10**9)
        stamp = self._types["builtin_interfaces/msg/Time"](seconds, nanoseconds)
        return self._types["std_msgs/msg/Header"](stamp, frame_id)

    def image_message(self, stamp_ns: int, image: NDArray[Any], encoding: str) -> Any:
        """`image` (H, W) or (H, W, C), of the encoding's type, little endian."""
        height, width = image.shape[:2]
        data = np.ascontiguousarray(image).view(np.uint8).reshape(-1)
        return self._types["sensor_msgs/msg/Image"](
            header=self.header(stamp_ns, OPTICAL_FRAME),
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=0,
            step=data.size // height,
            data=data,
        )

    def camera_info(self, stamp_ns: int, vertical_fov_deg: float) -> Any:
        """An ideal pinhole camera: no distortion, nothing to rectify."""
        k = camera_matrix(vertical_fov_deg)
        return self._types["sensor_msgs/msg/CameraInfo"](
            header=self.header(stamp_ns, OPTICAL_FRAME),
            height=HEIGHT,
            width=WIDTH,
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=k.reshape(-1),
            r=np.eye(3).reshape(-1),
            p=np.column_stack([k, np.zeros(3)]).reshape(-1),
            binning_x=0,
            binning_y=0,
            roi=self._types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
        )

    def static_transform(self, stamp_ns: int) -> Any:
        """camera_link (x forward, y left, z up) to the optical frame (x right, y down, z forward): REP 103."""
        return self._transform(
            stamp_ns, LINK_FRAME, OPTICAL_FRAME, (0.0, 0.0, 0.0), (-0.5, 0.5, -0.5, 0.5)
        )

    def camera_pose(self, stamp_ns: int, view: View) -> Any:
        """Return the pose of camera_link in the world."""
        return self._transform(stamp_ns, WORLD_FRAME, LINK_FRAME, view.eye_m, view.quaternion)

    def label_info(self, stamp_ns: int, names: dict[int, str]) -> Any:
        vision_class = self._types["vision_msgs/msg/VisionClass"]
        return self._types["vision_msgs/msg/LabelInfo"](
            header=self.header(stamp_ns, OPTICAL_FRAME),
            class_map=[vision_class(number, name) for number, name in names.items()],
            threshold=0.0,
        )

    def _transform(
        self,
        stamp_ns: int,
        parent: str,
        child: str,
        position_m: tuple[float, float, float],
        quaternion: tuple[float, float, float, float],
    ) -> Any:
        transform = self._types["geometry_msgs/msg/TransformStamped"](
            header=self.header(stamp_ns, parent),
            child_frame_id=child,
            transform=self._types["geometry_msgs/msg/Transform"](
                self._types["geometry_msgs/msg/Vector3"](*position_m),
                self._types["geometry_msgs/msg/Quaternion"](*quaternion),
            ),
        )
        return self._types["tf2_msgs/msg/TFMessage"]([transform])
