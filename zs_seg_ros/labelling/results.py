"""The results of slices, joined: one after the other, with identities."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zs_seg_ros.image_reading import stamp_ns
from zs_seg_ros.labelling.messages import OBJECTS, found_objects, message_types
from zs_seg_ros.labelling.plan import Camera
from zs_seg_ros.recording import RecordedMessage, Recording
from zs_seg_ros.tracking import Tracker


@dataclass(frozen=True, eq=False)
class FrameResult:
    """What was found in one picture.

    time_ns: when the picture was recorded. label and confidence: Image, serialised. objects: an ObjectMaskArray.
    """

    camera: Camera
    time_ns: int
    label: bytes
    confidence: bytes
    objects: Any


def read_results(
    parts: Iterable[Path], cameras: Sequence[Camera], track: bool
) -> Iterator[FrameResult]:
    """Those of all parts, in the order of the pictures' recording. track: give objects identities, from 1 on.

    Trackers see one frame after the other: what slices cannot do is done here.
    """
    numbers = itertools.count(1)
    trackers = {camera.name: Tracker(numbers) for camera in cameras}
    for camera, message, label, confidence in _triples(parts, cameras):
        objects: Any = message_types().deserialize_cdr(message.serialised, OBJECTS)
        if track:
            _give_identities(objects, trackers[camera.name])
        yield FrameResult(camera, message.time_ns, label, confidence, objects)


def _triples(
    parts: Iterable[Path], cameras: Sequence[Camera]
) -> Iterator[tuple[Camera, RecordedMessage, bytes, bytes]]:
    """For each frame: its camera, its objects, and its label and confidence, which come before."""
    camera_of = {camera.objects: camera for camera in cameras}
    latest: dict[str, bytes] = {}
    for part in parts:
        with Recording(part) as recording:
            for message in recording.messages():
                camera = camera_of.get(message.topic.name)
                if camera is None:
                    latest[message.topic.name] = message.serialised
                else:
                    yield camera, message, latest[camera.label], latest[camera.confidence]


def _give_identities(objects: Any, tracker: Tracker) -> None:
    found = found_objects(objects.objects)
    tracked = tracker.update(found, stamp_ns(objects.header.stamp), objects.vocabulary_version)
    for message, thing in zip(objects.objects, tracked, strict=True):
        message.track_id = thing.track_id
