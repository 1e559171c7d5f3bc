# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The request of `zs-seg label`, and the plan for each bag: its cameras and slices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.bags.bag_cameras import BagCamera, find_cameras, list_topics
from zs_seg_ros.errors import BagError
from zs_seg_ros.images.camera_topics import depth_topic, info_topic
from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.shown import quoted
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

RESULTS = "/zs_seg"
_MAX_SLICES = 10_000
VOCABULARY_TOPIC = f"{RESULTS}/vocabulary"


@dataclass(frozen=True)
class LabelRequest:
    """The arguments of the command line.

    out: the result of one bag, or a folder with one result for each of several. cameras: names; empty: all.
    depth: whether objects get positions. output_format: mcap, sqlite3 or coco. batch: images in a batch.
    frames_per_slice: approximate.
    """

    bags: tuple[Path, ...]
    out: Path
    vocabulary: Vocabulary
    model: str
    options: LoadOptions
    settings: Settings
    cameras: tuple[str, ...] = ()
    depth: bool = False
    output_format: str = "mcap"
    batch: int = 4
    frames_per_slice: int = 300


@dataclass(frozen=True)
class LabelledCamera(BagCamera):
    """A camera of a bag, and the topics of its results. depth, info: empty unless positions are requested."""

    @property
    def label(self) -> str:
        """The topic of the label images; this and the next two are named as the node's topics."""
        return f"{RESULTS}/{self.name}/label"

    @property
    def confidence(self) -> str:
        """The topic of the confidence images."""
        return f"{RESULTS}/{self.name}/confidence"

    @property
    def objects(self) -> str:
        """The topic of the detections."""
        return f"{RESULTS}/{self.name}/objects"


@dataclass(frozen=True)
class Slice:
    """A part of a bag, by the times of recording. start_ns, stop_ns: None for the bag's start or end."""

    number: int
    start_ns: int | None
    stop_ns: int | None

    def holds(self, time_ns: int) -> bool:
        """Return whether a time of recording, in ns, is in the slice."""
        return (self.start_ns is None or time_ns >= self.start_ns) and (
            self.stop_ns is None or time_ns < self.stop_ns
        )


@dataclass(frozen=True)
class Plan:
    """The plan for one bag. name: of its result, unique in the job. frames: images of all cameras.

    warnings: about the bag.
    """

    bag: Path
    name: str
    cameras: tuple[LabelledCamera, ...]
    frames: int
    slices: tuple[Slice, ...]
    warnings: tuple[str, ...] = ()


def make_plans(request: LabelRequest) -> tuple[Plan, ...]:
    """Return a plan for each bag. Raises BagError when a bag cannot be read or lacks a topic."""
    plans: list[Plan] = []
    for folder in request.bags:
        own = folder.absolute()
        name = own.stem if own.is_file() else own.name
        name = request.out.name if len(request.bags) == 1 else name
        name = _unique(name, [plan.name for plan in plans])
        with Bag(folder) as bag:
            cameras = _cameras(bag, request)
            frames = sum(bag.topics[camera.image].message_count for camera in cameras)
            slices = _slices(bag, math.ceil(frames / request.frames_per_slice))
            warnings = bag.warnings
        plans.append(Plan(folder.absolute(), name, cameras, frames, slices, warnings))
    return tuple(plans)


def _unique(name: str, used: Sequence[str]) -> str:
    others = (f"{name}_{number}" for number in itertools.count(2))
    return next(n for n in itertools.chain([name], others) if n not in used)


def _slices(bag: Bag, count: int) -> tuple[Slice, ...]:
    """Divide the bag into slices of equal duration, for which no message has to be read."""
    count = min(count, _MAX_SLICES)  # a damaged file may claim any number of messages
    cuts = [bag.start_ns + bag.duration_ns * k // count for k in range(1, count)]
    starts, stops = [None, *cuts], [*cuts, None]
    return tuple(Slice(n, a, b) for n, (a, b) in enumerate(zip(starts, stops, strict=True)))


def _cameras(bag: Bag, request: LabelRequest) -> tuple[LabelledCamera, ...]:
    """Return the requested cameras. Raises BagError, with the bag's topics, when one is missing."""
    cameras = []
    for camera in find_cameras(bag, request.cameras):
        if request.depth and not camera.depth:
            either = " or ".join(depth_topic(camera.name, kind) for kind in ("raw", "compressed"))
            raise BagError(
                f"the recording {bag.folder} has no depth of the camera {quoted(camera.name)}: no images on {either}, "
                f"or no {info_topic(camera.name)}; it has {list_topics(bag)}"
            )
        depth, info = (camera.depth, camera.info) if request.depth else ("", "")
        cameras.append(LabelledCamera(camera.name, camera.image, depth, info, camera.compressed))
    return tuple(cameras)
