# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Joins the results of slices in the order of recording, and tracks objects across them."""

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
from zs_seg_ros.labelling.plan import LabelledCamera
from zs_seg_ros.perception.tracking import Tracker
from zs_seg_ros.shown import shown


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """The results for one image.

    time_ns: the image's time of recording. label and confidence: Image, serialised. objects: an ObjectMaskArray.
    """

    camera: LabelledCamera
    time_ns: int
    label: bytes
    confidence: bytes
    objects: Any


def read_results(
    parts: Iterable[Path], cameras: Sequence[LabelledCamera], track: bool
) -> Iterator[LabelledFrame]:
    """Yield the results of all parts in the order of recording. track: give objects track ids, from 1.

    Tracking is done here, as it needs all frames in order, while slices are processed independently.
    """
    numbers = itertools.count(1)
    trackers = {camera.name: Tracker(numbers) for camera in cameras}
    camera_of = {camera.objects: camera for camera in cameras}
    # Label and confidence of a frame are stored before its objects.
    latest: dict[str, bytes] = {}
    for topic, time_ns, data in _messages(parts):
        camera = camera_of.get(topic)
        if camera is None:
            latest[topic] = data
            continue
        objects: Any = message_types().deserialize_cdr(data, OBJECTS)
        if track:
            _track(objects, trackers[camera.name])
        label, confidence = latest[camera.label], latest[camera.confidence]
        yield LabelledFrame(camera, time_ns, label, confidence, objects)


def _messages(parts: Iterable[Path]) -> Iterator[tuple[str, int, bytes]]:
    """Yield topic, time and CDR. `Bag` is not used, as opening one takes longer than reading a part."""
    for part in parts:
        [file] = part.glob("*.mcap")
        try:
            with Reader(file) as reader:
                for connection, time_ns, data in reader.messages():
                    yield connection.topic, time_ns, data
        except ReaderError as error:
            raise LabellingError(
                f"the results in {part} are damaged ({shown(error, 300)}); remove that folder and run the same "
                "command again"
            ) from error


def _track(objects: Any, tracker: Tracker) -> None:
    """Set the track ids in an ObjectMaskArray."""
    detections = detected_objects(objects.objects)
    tracked = tracker.update(detections, stamp_ns(objects.header.stamp), objects.vocabulary_version)
    for message, detected in zip(objects.objects, tracked, strict=True):
        message.track_id = detected.track_id
