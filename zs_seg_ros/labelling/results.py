"""The results of slices, joined: one after the other, with identities."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Reader, ReaderError

from zs_seg_ros.errors import LabellingError
from zs_seg_ros.images.message_images import stamp_ns
from zs_seg_ros.labelling.messages import OBJECTS, detected_objects, message_types
from zs_seg_ros.labelling.plan import Camera
from zs_seg_ros.perception.tracking import Tracker


@dataclass(frozen=True, eq=False)
class FrameResult:
    """What was found in one image.

    time_ns: when the image was recorded. label and confidence: Image, serialised. objects: an ObjectMaskArray.
    """

    camera: Camera
    time_ns: int
    label: bytes
    confidence: bytes
    objects: Any


def read_results(
    parts: Iterable[Path], cameras: Sequence[Camera], track: bool
) -> Iterator[FrameResult]:
    """Those of all parts, in the order of the images' recording. track: give objects identities, from 1 on.

    Trackers see one frame after the other: what slices cannot do is done here.
    """
    numbers = itertools.count(1)
    trackers = {camera.name: Tracker(numbers) for camera in cameras}
    camera_of = {camera.objects: camera for camera in cameras}
    latest: dict[
        str, bytes
    ] = {}  # of label and confidence, which come before the objects of their frame
    for topic, time_ns, data in _messages(parts):
        camera = camera_of.get(topic)
        if camera is None:
            latest[topic] = data
            continue
        objects: Any = message_types().deserialize_cdr(data, OBJECTS)
        if track:
            _give_identities(objects, trackers[camera.name])
        yield FrameResult(camera, time_ns, latest[camera.label], latest[camera.confidence], objects)


def _messages(parts: Iterable[Path]) -> Iterator[tuple[str, int, bytes]]:
    """Topic, time and CDR. Not by `Bag`: to open one takes longer than to read a part."""
    for part in parts:
        [file] = part.glob("*.mcap")
        try:
            with Reader(file) as reader:
                for connection, time_ns, data in reader.messages():
                    yield connection.topic, time_ns, data
        except ReaderError as error:
            raise LabellingError(
                f"the results in {part} are damaged ({error}); remove that folder, and the same command goes on"
            ) from error


def _give_identities(objects: Any, tracker: Tracker) -> None:
    found = detected_objects(objects.objects)
    tracked = tracker.update(found, stamp_ns(objects.header.stamp), objects.vocabulary_version)
    for message, thing in zip(objects.objects, tracked, strict=True):
        message.track_id = thing.track_id
