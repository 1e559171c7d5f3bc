"""Small recordings, written for tests: stripes in colours that the model fake knows, and depth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from zs_seg_ros.segmenters.fake import PALETTE

START_NS = 1_700_000_000 * 10**9
PERIOD_NS = 10**8
HEIGHT, WIDTH = 48, 64
_store = get_typestore(Stores.ROS2_JAZZY)
_types: dict[str, Any] = dict(_store.types)


@dataclass(frozen=True)
class Camera:
    """What to record of a camera. depth_late_ns: how much later depth is recorded than its picture.

    depth_pictures: no pictures but compressed depth images, in the place of pictures.
    """

    name: str = "camera"
    compressed: bool = False
    depth: bool = False
    compressed_depth: bool = False
    depth_late_ns: int = 0
    without_depth: tuple[int, ...] = ()
    stamp_late_ns: int = 0
    depth_pictures: bool = False


def picture(number: int) -> NDArray[np.uint8]:
    """(H, W, 3): grey, with a red and a blue square that wander; the red one is not quite of its palette colour."""
    drawn = np.full((HEIGHT, WIDTH, 3), PALETTE["grey"], np.uint8)
    drawn[8:24, 4 + number % 20 : 20 + number % 20] = np.array(PALETTE["red"]) - 25
    drawn[28:42, 46 - number % 20 : 60 - number % 20] = PALETTE["blue"]
    return drawn


def write_bag(
    folder: Path,
    *cameras: Camera,
    frames: int = 8,
    storage: StoragePlugin = StoragePlugin.MCAP,
    extra_topic: str = "",
) -> Path:
    """Messages of all cameras, in the order of their times."""
    messages = []
    for camera in cameras or (Camera(),):
        for number in range(frames):
            time_ns = START_NS + number * PERIOD_NS
            messages += [
                (time_ns + late_ns, topic, message)
                for late_ns, topic, message in _messages(camera, number, time_ns)
            ]
    if extra_topic:
        messages.append((START_NS, extra_topic, _types["std_msgs/msg/String"]("text")))
    with Writer(folder, version=8, storage_plugin=storage) as writer:
        topics = {topic: type(message).__msgtype__ for _, topic, message in messages}
        connections = {
            topic: writer.add_connection(topic, kind, typestore=_store)
            for topic, kind in topics.items()
        }
        for time_ns, topic, message in sorted(messages, key=lambda entry: entry[0]):
            kind = connections[topic].msgtype
            writer.write(connections[topic], time_ns, _store.serialize_cdr(message, kind))
    return folder


def _messages(camera: Camera, number: int, time_ns: int) -> list[tuple[int, str, Any]]:
    """How late, topic, message."""
    name, header = camera.name, _header(time_ns + camera.stamp_late_ns)
    shown = picture(number)
    if camera.depth_pictures:
        depth = np.full((HEIGHT, WIDTH), 1000, np.uint16)
        encoded = _compressed(header, depth, "16UC1; png compressed ")
        return [(0, f"/{name}/image_raw/compressed", encoded)]
    if camera.compressed:
        found = [(0, f"/{name}/image_raw/compressed", _compressed(header, shown, "png"))]
    else:
        found = [(0, f"/{name}/image_raw", _image(header, shown, "rgb8"))]
    if camera.depth:
        found.append((camera.depth_late_ns, f"/{name}/camera_info", _info(header)))
    if camera.depth and number not in camera.without_depth:
        depth = np.full((HEIGHT, WIDTH), 1000 + 10 * number, np.uint16)
        late = camera.depth_late_ns
        if camera.compressed_depth:
            topic = f"/{name}/depth/image_raw/compressedDepth"
            found.append((late, topic, _compressed(header, depth, "16UC1; compressedDepth png")))
        else:
            found.append((late, f"/{name}/depth/image_raw", _image(header, depth, "16UC1")))
    return found


def _header(stamp_ns: int) -> Any:
    time = _types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
    return _types["std_msgs/msg/Header"](time, "optical")


def _image(header: Any, pixels: NDArray[Any], encoding: str) -> Any:
    data = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1)
    return _types["sensor_msgs/msg/Image"](
        header, HEIGHT, WIDTH, encoding, 0, data.size // HEIGHT, data
    )


def _compressed(header: Any, pixels: NDArray[Any], kind: str) -> Any:
    depth = pixels.ndim == 2
    _, data = cv2.imencode(".png", pixels if depth else pixels[..., ::-1])
    start = np.zeros(12 if depth else 0, np.uint8)
    return _types["sensor_msgs/msg/CompressedImage"](
        header, kind, np.concatenate([start, data.reshape(-1)])
    )


def _info(header: Any) -> Any:
    k = np.array([60.0, 0, WIDTH / 2, 0, 60.0, HEIGHT / 2, 0, 0, 1])
    return _types["sensor_msgs/msg/CameraInfo"](
        header=header,
        height=HEIGHT,
        width=WIDTH,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=k,
        r=np.eye(3).reshape(-1),
        p=np.column_stack([k.reshape(3, 3), np.zeros(3)]).reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=_types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
    )
