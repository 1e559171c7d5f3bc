# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Objects that an operator keeps: each is followed from image to image under a class and a track_id of its own."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from zs_seg_ros.errors import SelectionError
from zs_seg_ros.perception.kept_matching import (
    Painted,
    instance_of,
    numbered,
    objects_of,
    painted,
    reassigned,
    without,
)
from zs_seg_ros.perception.kept_object import KeptObject, in_next_image
from zs_seg_ros.perception.propagation import Propagator
from zs_seg_ros.perception.tracking import LONGEST_ABSENCE_S
from zs_seg_ros.segmenters.instance_labels import mask_iou
from zs_seg_ros.segmenters.video_memory import VideoMemory
from zs_seg_ros.shown import quoted
from zs_seg_ros.types import DetectedObject, Frame, Scene, Segmentation, size_of
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

MOST_KEPT = 64
"""The largest number that the parameter max_kept_objects allows."""
_ENDED_REMEMBERED = 64


@dataclass(frozen=True, eq=False)
class Followed:
    """The results of one image with kept objects. rest: the segmentation without them."""

    segmentation: Segmentation
    rest: Segmentation
    objects: tuple[DetectedObject, ...] = ()


class KeptObjects:
    """The kept objects of all cameras. Thread-safe, as long as the frames of one camera come in their order.

    Results with the class of a kept object are limited to one instance in its own camera: the one that overlaps its
    last mask, moved by optical flow, or lies nearest to it. What else the model labels with that class becomes the
    class that the object was detected as, or background. An object that the model misses is carried by optical flow
    for LONGEST_ABSENCE_S at most; after that the best-scoring instance of its class is taken for it. An object with a
    video memory is where the memory finds it; optical flow is not computed in a camera that has no others.
    """

    def __init__(self) -> None:
        self.by_exemplar = True  # whether the model detects the classes of kept objects
        self._kept: dict[str, KeptObject] = {}
        self._beginning: set[str] = set()  # the class is not in the vocabulary yet
        self._propagators: dict[str, Propagator] = {}  # of cameras with kept objects
        self._newest: dict[str, Frame] = {}  # of the same cameras
        self._ended: dict[
            int, tuple[int, int]
        ] = {}  # class id: its origin, the first version without it
        self._lock = threading.RLock()

    def __len__(self) -> int:
        """Return how many objects are kept."""
        return len(self._kept)

    @property
    def all(self) -> tuple[KeptObject, ...]:
        """The kept objects, in the order in which keeping them began."""
        with self._lock:
            return tuple(self._kept.values())

    def in_camera(self, camera: str) -> tuple[KeptObject, ...]:
        """Return the objects that are kept in the images of a camera."""
        with self._lock:
            return tuple(self._of(camera))

    def track_names(self) -> frozenset[str]:
        """Return the classes of objects that can be followed without detections of these classes."""
        with self._lock:
            return frozenset(k.name for k in self._kept.values() if k.origin or k.memory)

    def remembered_names(self) -> frozenset[str]:
        """Return the classes of objects that a video memory follows, which the model need not detect."""
        with self._lock:
            return frozenset(k.name for k in self._kept.values() if k.memory)

    def begin(self, kept: KeptObject, frames: Sequence[Frame], limit: int) -> None:
        """Follow an object from now on; call `confirm` when its class is in the vocabulary, otherwise `end`.

        frames: those of its camera since the image in which it was marked, that one first. Raises SelectionError when
        `limit` objects are kept, or this one or one of its name is.
        """
        with self._lock:
            if len(self._kept) >= limit:
                raise SelectionError(
                    f"{len(self._kept)} objects are kept and max_kept_objects is {limit}: forget one first with "
                    "~/forget, or raise it"
                )
            if kept.name in self._kept:
                raise SelectionError(
                    f"{quoted(kept.name)} is kept already: give another class_name"
                )
            for other in self._kept.values():
                if other.track_id == kept.track_id and not other.lost:
                    raise SelectionError(
                        f"this object is kept already, as {quoted(other.name)}: forget it first with ~/forget"
                    )
            if not self.in_camera(kept.camera):
                self._propagators[kept.camera] = Propagator()
            used = {other.number for other in self._kept.values()}
            kept = replace(kept, number=next(n for n in itertools.count(1) if n not in used))
            self._kept[kept.name] = self._caught_up(kept, list(frames))
            self._beginning.add(kept.name)
            if kept.camera in self._newest:
                self._remember(self._newest[kept.camera])

    def _caught_up(self, kept: KeptObject, frames: list[Frame]) -> KeptObject:
        """Return a new object in the newest image of its camera, carried from the one in which it was marked."""
        newest = self._newest.get(kept.camera)
        if newest is not None and frames and newest.stamp_ns > frames[-1].stamp_ns:
            frames.append(newest)
        if not frames:
            return kept
        # The propagator of the camera goes on from the last image with the masks of the other objects.
        propagator = Propagator() if newest is not None else self._propagators[kept.camera]
        propagator.update(frames[0], numbered(size_of(frames[0].image), {1: kept.detected}))
        for frame in frames[1:]:
            propagator.observe(frame)
        self._newest[kept.camera] = frames[-1]
        carried = propagator.carried("flow")
        moved = None if carried is None else instance_of(carried.segmentation.label == 1)
        if moved is None:
            return kept
        moved = replace(moved, score=kept.detected.score)
        return replace(kept, shown=moved, stamp_ns=frames[-1].stamp_ns)

    def begin_memory(self, kept: KeptObject, memory: VideoMemory) -> None:
        """Replace the memory of an object, unless it has ended, or has another memory meanwhile."""
        with self._lock:
            now = self._kept.get(kept.name)
            if now is not None and now.memory is kept.memory:
                self._kept[kept.name] = replace(now, memory=memory)

    def confirm(self, name: str) -> None:
        """Record that the class of an object is in the vocabulary."""
        with self._lock:
            self._beginning.discard(name)

    def end(self, name: str) -> None:
        """Stop following an object, whose class never was in the vocabulary."""
        with self._lock:
            self._beginning.discard(name)
            self._remove(name)

    def retain(self, vocabulary: Vocabulary, before: Vocabulary) -> None:
        """Stop following the objects whose classes a new vocabulary lacks. before: the vocabulary until then."""
        with self._lock:
            ids = dict(zip(before.names, before.ids, strict=True))
            for name in tuple(self._kept):
                if name in vocabulary.names or name in self._beginning:
                    continue
                if name in ids:
                    self._ended[ids[name]] = self._kept[name].origin, vocabulary.version
                self._remove(name)
            while len(self._ended) > _ENDED_REMEMBERED:
                del self._ended[next(iter(self._ended))]

    def _remove(self, name: str) -> None:
        kept = self._kept.pop(name, None)
        if kept is not None and not self._of(kept.camera):
            self._propagators.pop(kept.camera, None)
            self._newest.pop(kept.camera, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self._beginning.clear()
            self._propagators.clear()
            self._newest.clear()
            self._ended.clear()

    def problems(self) -> list[str]:
        """Return a sentence for each object that is lost."""
        return [
            f"the kept {quoted(kept.name)} is lost: the model follows it by its track alone, and it was not detected "
            f"for {LONGEST_ABSENCE_S:g} s: forget it and keep it again"
            for kept in self.all
            if kept.lost
        ]

    # --- from image to image ---

    def follow(self, scene: Scene, min_area: int) -> Followed:
        """Return the results of the next image of a camera, in which each kept object has its class and track_id.

        min_area: the least number of pixels of an object.
        """
        segmentation = scene.segmentation
        with self._lock:
            own = self._own_classes(scene.vocabulary)
            mine = self._of(scene.frame.camera)
            if not own and not mine:
                return Followed(segmentation, segmentation)
            merged = reassigned(segmentation, own)
            # Objects are not requested of smaller segmentations.
            if not mine or segmentation.label.shape != size_of(scene.frame.image):
                return Followed(merged, merged)
            shown = self._shown(scene, merged, mine, min_area)
            self._remember(scene.frame)
            ids = dict(zip(scene.vocabulary.names, scene.vocabulary.ids, strict=True))
            objects = tuple(
                replace(detected, class_id=ids[name], track_id=self._kept[name].track_id)
                for name, detected in shown.items()
                if name in ids
            )
        result: Painted = painted(merged, segmentation, objects, scene.vocabulary.label_ids.dtype)
        return Followed(result.segmentation, result.rest, objects)

    def _of(self, camera: str) -> list[KeptObject]:
        return [kept for kept in self._kept.values() if kept.camera == camera]

    def _own_classes(self, vocabulary: Vocabulary) -> dict[int, int]:
        """Return the ids of kept objects' classes with those of the classes that they were detected as, or 0."""
        ids = dict(zip(vocabulary.names, vocabulary.ids, strict=True))
        own = {
            class_id: origin
            for class_id, (origin, version) in self._ended.items()
            if vocabulary.version < version and class_id in vocabulary.ids
        }
        own |= {ids[kept.name]: kept.origin for kept in self._kept.values() if kept.name in ids}
        return {i: origin if origin in vocabulary.ids else 0 for i, origin in own.items()}

    def _shown(
        self, scene: Scene, merged: Segmentation, mine: Sequence[KeptObject], min_area: int
    ) -> dict[str, DetectedObject]:
        """Return the masks of objects in the next image of their camera, by name, and remember all as they are now."""
        ids = dict(zip(scene.vocabulary.names, scene.vocabulary.ids, strict=True))
        own_ids: Collection[int] = {ids[kept.name] for kept in mine if kept.name in ids}
        own = objects_of(scene.segmentation, own_ids, min_area) if own_ids else []
        origins = {kept.origin for kept in mine if kept.origin in scene.vocabulary.ids}
        detections = objects_of(merged, origins, min_area) if origins else []
        predicted = self._predicted(scene.frame, mine)

        def overlap(kept: KeptObject) -> float:
            candidates = [o for o in own if o.class_id == ids.get(kept.name)]
            candidates += [o for o in detections if o.class_id == kept.origin]
            expected = predicted.get(kept.name, kept.detected)
            return max((mask_iou(candidate, expected) for candidate in candidates), default=0.0)

        shown: dict[str, DetectedObject] = {}
        for kept in sorted(mine, key=overlap, reverse=True):  # none takes the detection of another
            left = without(own, [*shown.values()])
            left_detections = without(detections, [*shown.values()])
            self._kept[kept.name] = followed = in_next_image(
                kept,
                [o for o in left if o.class_id == ids.get(kept.name)],
                [o for o in left_detections if o.class_id == kept.origin],
                predicted.get(kept.name),
                scene.frame.stamp_ns,
                self.by_exemplar,
                min_area,
            )
            if followed.shown is not None:
                shown[kept.name] = followed.shown
        return shown

    def _predicted(self, frame: Frame, mine: Sequence[KeptObject]) -> dict[str, DetectedObject]:
        """Return the last masks of objects, moved by optical flow, by name, where that is known and used."""
        if all(kept.memory for kept in mine):
            return {}
        propagator = self._propagators[frame.camera]
        propagator.observe(frame)
        carried = propagator.carried("flow")
        if carried is None:
            return {}
        label = carried.segmentation.label
        moved = {kept.name: instance_of(label == kept.number) for kept in mine}
        return {name: detected for name, detected in moved.items() if detected is not None}

    def _remember(self, frame: Frame) -> None:
        """Let the next image of a camera begin with the masks of all objects in this one."""
        self._newest[frame.camera] = frame
        mine = self._of(frame.camera)
        if all(kept.memory for kept in mine):
            return
        masks = {
            kept.number: kept.shown
            for kept in mine
            if kept.shown is not None and kept.stamp_ns == frame.stamp_ns
        }
        self._propagators[frame.camera].update(frame, numbered(size_of(frame.image), masks))
