"""What is to be done: the cameras of a recording, and the slices that it is divided into."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.bags.bag_cameras import BagCamera, find_cameras, listed
from zs_seg_ros.errors import BagError
from zs_seg_ros.images.camera_topics import depth_topic, info_topic
from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

RESULTS = "/zs_seg"
VOCABULARY_TOPIC = f"{RESULTS}/vocabulary"


@dataclass(frozen=True)
class LabelRequest:
    """What the command line asks for.

    out: the result of one recording, or a folder with one result each. cameras: none means all that are found. depth:
    whether objects get positions. form: mcap, sqlite3 or coco. batch: images at once. frames_per_slice: about how
    many.
    """

    bags: tuple[Path, ...]
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
class Camera(BagCamera):
    """A camera of a recording, and the topics of its results. Without depth and info: no positions are wanted."""

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

    bag: Path
    name: str
    cameras: tuple[Camera, ...]
    frames: int
    slices: tuple[Slice, ...]


def make_plans(request: LabelRequest) -> tuple[Plan, ...]:
    """One for each recording. Raises BagError when one cannot be read or lacks a topic."""
    plans: list[Plan] = []
    for folder in request.bags:
        one = len(request.bags) == 1
        name = _unlike(
            [plan.name for plan in plans], request.out.name if one else folder.absolute().name
        )
        with Bag(folder) as bag:
            cameras = _cameras(bag, request)
            frames = sum(bag.topics[camera.image].message_count for camera in cameras)
            slices = _cut(bag, math.ceil(frames / request.frames_per_slice))
        plans.append(Plan(folder.absolute(), name, cameras, frames, slices))
    return tuple(plans)


def _unlike(taken: Sequence[str], name: str) -> str:
    others = (f"{name}_{number}" for number in itertools.count(2))
    return next(n for n in itertools.chain([name], others) if n not in taken)


def _cut(bag: Bag, count: int) -> tuple[Slice, ...]:
    """Of equal time, so that nothing has to be read to know them."""
    cuts = [bag.start_ns + bag.duration_ns * k // count for k in range(1, count)]
    starts, stops = [None, *cuts], [*cuts, None]
    return tuple(Slice(n, a, b) for n, (a, b) in enumerate(zip(starts, stops, strict=True)))


def _cameras(bag: Bag, request: LabelRequest) -> tuple[Camera, ...]:
    """Raises BagError when a topic is missing; it says what there is."""
    cameras = []
    for camera in find_cameras(bag, request.cameras):
        if request.depth and not camera.depth:
            either = " or ".join(depth_topic(camera.name, kind) for kind in ("raw", "compressed"))
            raise BagError(
                f"the recording {bag.folder} has no depth of the camera {camera.name!r}: no images on {either}, "
                f"or no {info_topic(camera.name)}; it has {listed(bag)}"
            )
        depth, info = (camera.depth, camera.info) if request.depth else ("", "")
        cameras.append(Camera(camera.name, camera.image, depth, info))
    return tuple(cameras)
