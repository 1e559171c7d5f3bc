# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""When and where a labelled recording shows objects of a class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.errors import BagError
from zs_seg_ros.images.message_images import stamp_ns
from zs_seg_ros.labelling.messages import OBJECTS
from zs_seg_ros.perception.tracking import LONGEST_ABSENCE_S
from zs_seg_ros.shown import quoted
from zs_seg_ros.types import Box, Metres


@dataclass(frozen=True)
class Sighting:
    """One object, from its first image to its last, with the values of the image in which it is most confident.

    first_ns, last_ns, stamp_ns: of images. track_id: 0 when it was not tracked. position: None without depth, in
    metres in `frame_id`.
    """

    camera: str
    class_name: str
    track_id: int
    first_ns: int
    last_ns: int
    images: int
    stamp_ns: int
    score: float
    box: Box
    frame_id: str
    position: Metres | None


def sightings(bag: Bag, words: str) -> Iterator[Sighting]:
    """Yield the objects in whose class name all words occur, whatever their case, as soon as each has left.

    An object that was detected in one image only has no track and is left out, unless the recording was labelled
    without tracking; then objects of a class that follow each other count as one. Memory does not grow with the
    recording. Raises BagError for a recording without labelled objects, and for one without such a class.
    """
    topics = [t.name for t in bag.topics.values() if t.message_type == OBJECTS]
    if not topics:
        raise BagError(
            f"the recording {bag.folder} has no labelled objects; label it with zs-seg label, or record ~/CAM/objects"
        )
    search = _Search(frozenset(words.casefold().split()))
    for message in bag.messages(topics):
        yield from search.read(camera_of(message.topic.name), message.content)
    yield from search.end()
    if not search.has_class:
        raise BagError(
            f"no class in the recording {bag.folder} has the words {quoted(words)}; its detections are of "
            f"{', '.join(map(quoted, sorted(search.class_names))) or 'no class'}"
        )


def camera_of(topic: str) -> str:
    """Return the camera of a topic of objects, /NODE/CAM/objects."""
    return topic.removesuffix("/objects").strip("/").partition("/")[2] or topic


class _Search:
    """Joins the detections of each object. class_names: those that were detected."""

    def __init__(self, words: frozenset[str]) -> None:
        self.class_names: set[str] = set()
        self.has_class = False
        self._words = words
        self._tracking: set[str] = set()  # cameras
        self._open: dict[tuple[str, str, int], Sighting] = {}

    def read(self, camera: str, message: Any) -> Iterator[Sighting]:
        """Read the objects of one image."""
        now_ns = stamp_ns(message.header.stamp)
        yield from self._ended(camera, now_ns - round(LONGEST_ABSENCE_S * 1e9))
        for detected in message.objects:
            self.class_names.add(detected.class_name)
            if detected.track_id:
                self._tracking.add(camera)
            if self._words <= set(detected.class_name.casefold().split()):
                self.has_class = True
                self._add(_sighting(camera, detected, message.header, now_ns))

    def _add(self, new: Sighting) -> None:
        key = new.camera, new.class_name, new.track_id
        before = self._open.get(key)
        if before is None:
            self._open[key] = new
            return
        best = max(before, new, key=lambda sighting: sighting.score)
        last_ns = max(before.last_ns, new.last_ns)
        images = before.images + (new.last_ns != before.last_ns)
        self._open[key] = replace(best, first_ns=before.first_ns, last_ns=last_ns, images=images)

    def _ended(self, camera: str, before_ns: int) -> Iterator[Sighting]:
        for key, sighting in list(self._open.items()):
            if sighting.camera == camera and sighting.last_ns < before_ns:
                yield from self._close(key)

    def end(self) -> Iterator[Sighting]:
        """Yield the objects that the recording ends with."""
        for key in list(self._open):
            yield from self._close(key)

    def _close(self, key: tuple[str, str, int]) -> Iterator[Sighting]:
        sighting = self._open.pop(key)
        if sighting.track_id or sighting.camera not in self._tracking:
            yield sighting


def _sighting(camera: str, detected: Any, header: Any, now_ns: int) -> Sighting:
    roi, place = detected.roi, detected.position
    return Sighting(
        camera=camera,
        class_name=detected.class_name,
        track_id=detected.track_id,
        first_ns=now_ns,
        last_ns=now_ns,
        images=1,
        stamp_ns=now_ns,
        score=detected.score,
        box=Box(roi.x_offset, roi.y_offset, roi.width, roi.height),
        frame_id=header.frame_id,
        position=(place.x, place.y, place.z) if detected.has_position else None,
    )
