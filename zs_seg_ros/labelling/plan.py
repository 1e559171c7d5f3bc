"""What is to be done: the cameras of a recording, and the slices that it is divided into."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zs_seg_ros.errors import RecordingError
from zs_seg_ros.pipeline import Settings
from zs_seg_ros.recording import RecordedTopic, Recording
from zs_seg_ros.segmenters import LoadOptions
from zs_seg_ros.vocabulary import Vocabulary

_IMAGE, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_INFO = "sensor_msgs/msg/CameraInfo"
_DEPTH_ENCODINGS = ("16UC1", "32FC1")
RESULTS = "/zs_seg"
VOCABULARY_TOPIC = f"{RESULTS}/vocabulary"


@dataclass(frozen=True)
class LabelRequest:
    """What the command line asks for.

    out: the result of one recording, or a folder with one result each. cameras: none means all that are found. depth:
    whether objects get positions. form: mcap, sqlite3 or coco. batch: pictures at once. frames_per_slice: about how
    many.
    """

    recordings: tuple[Path, ...]
    out: Path
    vocabulary: Vocabulary
    model: str
    options: LoadOptions
    settings: Settings
    cameras: tuple[str, ...] = ()
    depth: bool = False
    form: str = "mcap"
    batch: int = 4
    frames_per_slice: int = 300


@dataclass(frozen=True)
class Camera:
    """A camera's topics in a recording. depth and info: None where no positions are wanted."""

    name: str
    pictures: RecordedTopic
    depth: RecordedTopic | None = None
    info: RecordedTopic | None = None

    @property
    def label(self) -> str:
        """The topic of its label images, named as the node names it; so are the next two."""
        return f"{RESULTS}/{self.name}/label"

    @property
    def confidence(self) -> str:
        return f"{RESULTS}/{self.name}/confidence"

    @property
    def objects(self) -> str:
        return f"{RESULTS}/{self.name}/objects"


def is_compressed(topic: RecordedTopic) -> bool:
    return topic.message_type == _COMPRESSED


@dataclass(frozen=True)
class Slice:
    """A stretch of a recording, by the times of recording. None: from its start, to its end."""

    number: int
    start_ns: int | None
    stop_ns: int | None

    def holds(self, time_ns: int) -> bool:
        return (self.start_ns is None or time_ns >= self.start_ns) and (
            self.stop_ns is None or time_ns < self.stop_ns
        )


@dataclass(frozen=True)
class Plan:
    """A recording, and how it is worked on. name: of its result, unlike any other's."""

    recording: Path
    name: str
    cameras: tuple[Camera, ...]
    frames: int
    slices: tuple[Slice, ...]


def make_plans(request: LabelRequest) -> tuple[Plan, ...]:
    """One for each recording. Raises RecordingError when one cannot be read or lacks a topic."""
    plans: list[Plan] = []
    for folder in request.recordings:
        one = len(request.recordings) == 1
        name = _unlike(
            [plan.name for plan in plans], request.out.name if one else folder.absolute().name
        )
        with Recording(folder) as recording:
            cameras = find_cameras(recording, request.cameras, request.depth)
            frames = sum(camera.pictures.message_count for camera in cameras)
            if not frames:
                topics = ", ".join(camera.pictures.name for camera in cameras)
                raise RecordingError(f"the recording {folder} has no picture on {topics}")
            slices = _cut(recording, max(1, math.ceil(frames / request.frames_per_slice)))
        plans.append(Plan(folder.absolute(), name, cameras, frames, slices))
    return tuple(plans)


def _unlike(taken: Sequence[str], name: str) -> str:
    others = (f"{name}_{number}" for number in itertools.count(2))
    return next(n for n in itertools.chain([name], others) if n not in taken)


def _cut(recording: Recording, count: int) -> tuple[Slice, ...]:
    """Of equal time, so that nothing has to be read to know them."""
    cuts = [recording.start_ns + recording.duration_ns * k // count for k in range(1, count)]
    starts, stops = [None, *cuts], [*cuts, None]
    return tuple(Slice(n, a, b) for n, (a, b) in enumerate(zip(starts, stops, strict=True)))


def find_cameras(
    recording: Recording, names: Sequence[str], depth: bool = False
) -> tuple[Camera, ...]:
    """The cameras of these names or, without any, all that the recording has pictures of.

    Raises RecordingError when a topic is missing; it says what there is.
    """
    found = {}
    for suffix, message_type in (("/image_raw/compressed", _COMPRESSED), ("/image_raw", _IMAGE)):
        for topic in recording.topics.values():
            name = topic.name.removesuffix(suffix).strip("/")
            if topic.name.endswith(suffix) and topic.message_type == message_type and name:
                found[name] = topic  # raw, where both are recorded, as the node reads by default
    if not names:
        names = [name for name in sorted(found) if not _is_depth(recording, name, found[name])]
        if not names:
            raise _missing(recording, "topic CAM/image_raw or CAM/image_raw/compressed of images")
    cameras = []
    for name in dict.fromkeys(name.strip("/") for name in names):
        if name not in found:
            raise _missing(recording, f"topic /{name}/image_raw or /{name}/image_raw/compressed")
        cameras.append(Camera(name, found[name], *(_depth(recording, name) if depth else ())))
    return tuple(cameras)


def _is_depth(recording: Recording, name: str, topic: RecordedTopic) -> bool:
    if name.split("/")[-1] == "depth":
        return True
    if is_compressed(topic):
        return False
    first = next(iter(recording.messages([topic.name])), None)
    return first is not None and first.content.encoding in _DEPTH_ENCODINGS


def _depth(recording: Recording, name: str) -> tuple[RecordedTopic, RecordedTopic]:
    """Topics of a camera's depth images and of its camera_info."""
    plain, compressed = (f"/{name}/depth/image_raw{end}" for end in ("", "/compressedDepth"))
    depth = recording.topics.get(plain) or recording.topics.get(compressed)
    if depth is None or depth.message_type not in (_IMAGE, _COMPRESSED):
        raise _missing(recording, f"topic {plain} or {compressed} of images")
    info = recording.topics.get(f"/{name}/camera_info")
    if info is None or info.message_type != _INFO:
        raise _missing(recording, f"topic /{name}/camera_info")
    return depth, info


def _missing(recording: Recording, what: str) -> RecordingError:
    there = ", ".join(f"{t.name} ({t.message_type})" for t in recording.topics.values())
    return RecordingError(
        f"the recording {recording.folder} has no {what}; it has {there or 'no topic at all'}"
    )
