"""Small recordings, and what the tests of `zs-seg label` read them and the results with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from zs_seg_ros.labelling.plan import LabelRequest
from zs_seg_ros.pipeline import Settings
from zs_seg_ros.recording import Recording
from zs_seg_ros.segmenters import LoadOptions
from zs_seg_ros.segmenters.fake import PALETTE
from zs_seg_ros.vocabulary import TargetClass, Vocabulary

START_NS = 1_700_000_000_000_000_000
STEP_NS = 100_000_000
HEIGHT, WIDTH = 48, 64
WORDS = Vocabulary().changed_to([TargetClass("red thing"), TargetClass("blue thing")])
STRANGE_TYPE = "elsewhere_msgs/msg/Strange"
STORE = get_typestore(Stores.ROS2_JAZZY)
STORE.register(get_types_from_msg("uint8 a\nfloat64[2] b\nstring c\n", STRANGE_TYPE))


def request(out: Path, *recordings: Path, **changes: Any) -> LabelRequest:
    """With the fake model and small slices."""
    settings = Settings(min_area=changes.pop("min_area", 10))
    fields: dict[str, Any] = {"vocabulary": WORDS, "model": "fake", "options": LoadOptions("cpu")}
    fields |= {"settings": settings, "frames_per_slice": 7, "batch": 3} | changes
    return LabelRequest(recordings=recordings, out=out, **fields)


def picture(number: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> NDArray[np.uint8]:
    """(H, W, 3): a red thing moves to the right, and a blue one comes and goes."""
    pixels = np.full((*size, 3), PALETTE["white"], np.uint8)
    left = 2 + number % (size[1] // 2)
    pixels[10:22, left : left + 12] = PALETTE["red"]
    if number % 20 < 15:
        pixels[30:42, 40:55] = PALETTE["blue"]
    return pixels


def _new(message_type: str, **fields: Any) -> Any:
    return STORE.types[message_type](**fields)


def header(time_ns: int, frame_id: str = "optical") -> Any:
    stamp = _new("builtin_interfaces/msg/Time", sec=time_ns // 10**9, nanosec=time_ns % 10**9)
    return _new("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def image(pixels: NDArray[Any], time_ns: int, encoding: str = "rgb8", **changes: Any) -> Any:
    fields: dict[str, Any] = {
        "header": header(time_ns),
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "encoding": encoding,
        "is_bigendian": 0,
        "step": pixels.nbytes // pixels.shape[0],
        "data": pixels.reshape(-1).view(np.uint8),
    }
    return _new("sensor_msgs/msg/Image", **fields | changes)


def compressed(pixels: NDArray[np.uint8], time_ns: int, suffix: str) -> Any:
    data = cv2.imencode(suffix, pixels[..., ::-1])[1].reshape(-1)
    return _new(
        "sensor_msgs/msg/CompressedImage",
        header=header(time_ns),
        format=suffix.strip("."),
        data=data,
    )


def camera_info(time_ns: int) -> Any:
    matrix = [60.0, 0.0, WIDTH / 2, 0.0, 60.0, HEIGHT / 2, 0.0, 0.0, 1.0]
    return _new(
        "sensor_msgs/msg/CameraInfo",
        header=header(time_ns),
        height=HEIGHT,
        width=WIDTH,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.array(matrix),
        r=np.eye(3).ravel(),
        p=np.zeros(12),
        binning_x=0,
        binning_y=0,
        roi=_new(
            "sensor_msgs/msg/RegionOfInterest",
            x_offset=0,
            y_offset=0,
            height=0,
            width=0,
            do_rectify=False,
        ),
    )


def strange(number: int) -> Any:
    return _new(STRANGE_TYPE, a=number % 256, b=np.array([0.5, number]), c="as it is")


@dataclass
class Bag:
    """A recording in the making."""

    folder: Path
    storage: StoragePlugin = StoragePlugin.MCAP

    def __post_init__(self) -> None:
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> Bag:
        self._writer = Writer(self.folder, version=8, storage_plugin=self.storage)
        self._writer.open()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._writer.__exit__(*exception)

    def write(self, topic: str, time_ns: int, message: Any) -> None:
        kind = message.__msgtype__
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, kind, typestore=STORE)
        self._writer.write(self._connections[topic], time_ns, STORE.serialize_cdr(message, kind))


def small_bag(
    folder: Path,
    frames: int = 40,
    cameras: tuple[str, ...] = ("camera",),
    storage: StoragePlugin = StoragePlugin.MCAP,
    size: tuple[int, int] = (HEIGHT, WIDTH),
) -> Path:
    """`frames` pictures of each camera, and as many messages of a type that nobody knows."""
    with Bag(folder, storage) as bag:
        for number in range(frames):
            time_ns = START_NS + number * STEP_NS
            bag.write("/strange", time_ns, strange(number))
            for place, name in enumerate(cameras):
                pixels = picture(number + 5 * place, size)
                # Recorded somewhat after the stamp, as always.
                bag.write(
                    f"/{name}/image_raw", time_ns + 1000 * place + 700, image(pixels, time_ns)
                )
    return folder


Content = list[tuple[str, int, bytes]]


def content(folder: Path) -> Content:
    """Topic, time and bytes of all messages, in order."""
    with Recording(folder) as recording:
        return [(m.topic.name, m.time_ns, bytes(m.serialised)) for m in recording.messages()]


def messages(folder: Path, topic: str) -> list[Any]:
    with Recording(folder) as recording:
        return [message.content for message in recording.messages([topic])]


def pixels_of(message: Any) -> NDArray[Any]:
    item = np.uint8 if message.encoding == "mono8" else np.uint16
    pixels: NDArray[Any] = message.data.view(item).reshape(message.height, message.width)
    return pixels
