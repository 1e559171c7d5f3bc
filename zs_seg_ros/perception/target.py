# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The object that a planner selects, followed from image to image by its track id."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from zs_seg_ros.errors import NotTrackedError, SelectionError
from zs_seg_ros.perception.tracking import LONGEST_ABSENCE_S
from zs_seg_ros.shown import quoted
from zs_seg_ros.types import Box, DetectedObject, Frame, Metres, Scene, size_of
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

MEMORY_S = 5.0
"""How old an image may be that a place refers to."""
SCENE_FORGOTTEN = f"was segmented in the last {MEMORY_S:g} s"
IMAGE_RELEASED = "is not held any more"
"""What refusals say of an image that is too old; the studio looks for it."""
_MOST_BYTES = 32_000_000
"""Of the masks that are kept for it, whatever the rate of the camera and the size of its images."""
_MOST_IMAGE_BYTES = 64_000_000
"""Of the images, while they are held: 5 s of 640x480 pixels at 14 Hz."""


class TargetState(Enum):
    """What is known of the selected object in the newest image."""

    VISIBLE = "visible"
    HIDDEN = "hidden"
    LOST = "lost"


@dataclass(frozen=True)
class Choice:
    """Which object to select: by track id, by a place in an image, or the nearest of a class.

    track_id: 0 for any. class_name: empty for any. region: None for any place; otherwise the object that has most of
    its pixels there. stamp_ns: of the image that the region refers to; 0 for the newest.
    """

    track_id: int = 0
    class_name: str = ""
    region: Box | None = None
    stamp_ns: int = 0


@dataclass(frozen=True, eq=False)
class SceneObjects:
    """The detections in one image, with the vocabulary that names them.

    camera: where it is among their positions. size: (H, W) of the image. frame: None where the image is not held.
    """

    stamp_ns: int
    objects: tuple[DetectedObject, ...]
    vocabulary: Vocabulary
    camera: Metres = (0.0, 0.0, 0.0)
    size: tuple[int, int] = (0, 0)
    frame: Frame | None = None

    @property
    def mask_bytes(self) -> int:
        """The memory of the masks."""
        return sum(detected.mask.nbytes for detected in self.objects)

    @property
    def image_bytes(self) -> int:
        """The memory of the image, if it is held."""
        return 0 if self.frame is None else self.frame.image.nbytes

    def name_of(self, detected: DetectedObject) -> str:
        """Return the name of an object's class."""
        return self.vocabulary.names[self.vocabulary.ids.index(detected.class_id)]


def scene_objects(scene: Scene) -> SceneObjects:
    """Return the detections of a scene."""
    camera: Metres = (0.0, 0.0, 0.0)
    if scene.camera_pose is not None:
        x, y, z = scene.camera_pose.translation_m.tolist()
        camera = (x, y, z)
    frame = replace(scene.frame, depth=None)
    size = size_of(frame.image)
    return SceneObjects(frame.stamp_ns, scene.objects, scene.vocabulary, camera, size, frame)


class RecentScenes:
    """The detections of one camera in the last `MEMORY_S` seconds, and its newest image. Not thread-safe."""

    def __init__(self) -> None:
        self._scenes: deque[SceneObjects] = deque()
        self._bytes = 0

    def add(self, scene: Scene, *, hold_images: bool = False) -> None:
        """Remember the newest scene; when time has run backwards, the others are forgotten.

        hold_images: whether images before the newest stay, too, as far as the memory for a camera reaches.
        """
        stamp_ns = scene.frame.stamp_ns
        if self._scenes and stamp_ns < self._scenes[-1].stamp_ns:
            self._scenes.clear()
            self._bytes = 0
        self._scenes.append(scene_objects(scene))
        self._bytes += self._scenes[-1].mask_bytes
        while len(self._scenes) > 1 and (
            self._bytes > _MOST_BYTES or stamp_ns - self._scenes[0].stamp_ns > MEMORY_S * 1e9
        ):
            self._bytes -= self._scenes.popleft().mask_bytes
        self._release_images(_MOST_IMAGE_BYTES if hold_images else 0)

    def _release_images(self, most_bytes: int) -> None:
        """Release the oldest images beyond so many bytes; the newest stays."""
        newest, held = len(self._scenes) - 1, 0
        for place in range(newest, -1, -1):
            scene = self._scenes[place]
            if scene.frame is None:  # those of all scenes before it were released, too
                return
            held += scene.image_bytes
            if place < newest and held > most_bytes:
                self._scenes[place] = replace(scene, frame=None)

    def frames_from(self, stamp_ns: int) -> list[Frame]:
        """Return the images that are held from the one with this stamp on."""
        return [s.frame for s in self._scenes if s.frame is not None and s.stamp_ns >= stamp_ns]

    def at(self, stamp_ns: int) -> SceneObjects:
        """Return the scene with this stamp; 0: the newest. Raises SelectionError without one."""
        if not self._scenes:
            raise SelectionError("no image has been segmented yet: publish images, and ask again")
        if not stamp_ns:
            return self._scenes[-1]
        for scene in self._scenes:
            if scene.stamp_ns == stamp_ns:
                return scene
        raise SelectionError(
            f"no image with the stamp {stamp_ns * 1e-9:.9f} {SCENE_FORGOTTEN}: take the stamp of a result, or 0 for "
            "the newest image"
        )


def choose(scene: SceneObjects, choice: Choice) -> DetectedObject:
    """Return the object that the choice fits. Raises SelectionError when none does, NotTrackedError without an id."""
    objects: Sequence[DetectedObject] = scene.objects
    if choice.class_name:
        if choice.class_name not in scene.vocabulary.names:
            raise SelectionError(
                f"{quoted(choice.class_name)} is not in the vocabulary: set a vocabulary with it first"
            )
        objects = [o for o in objects if scene.name_of(o) == choice.class_name]
    if choice.track_id:
        objects = [o for o in objects if o.track_id == choice.track_id]
    if choice.region is not None:
        objects = objects_in(objects, choice.region)
    if not objects:
        raise SelectionError(f"no {_described(choice)} is detected in this image")
    chosen = (
        objects[0]
        if choice.region is not None
        else min(objects, key=lambda o: _distance(o, scene.camera))
    )
    if not chosen.track_id:
        raise NotTrackedError(
            f"the {_described(choice)} has no track id yet: it is detected for the first time, or the parameter track "
            "is false"
        )
    return chosen


def objects_in(objects: Sequence[DetectedObject], region: Box) -> list[DetectedObject]:
    """Return the objects with pixels in a region, those with most of them first; the more confident one of equals."""
    shares = [(_pixels_in(detected, region), detected) for detected in objects]
    return [o for pixels, o in sorted(shares, key=lambda share: -share[0]) if pixels]


def _pixels_in(detected: DetectedObject, region: Box) -> int:
    top, left = region.top - detected.box.top, region.left - detected.box.left
    rows = slice(max(0, top), max(0, top + region.height))
    columns = slice(max(0, left), max(0, left + region.width))
    return int(detected.mask[rows, columns].sum())


def _distance(detected: DetectedObject, camera: Metres) -> tuple[float, float]:
    """Sort by the distance to the camera and, for objects without a position, by confidence."""
    if detected.surface is None:
        return math.inf, -detected.score
    return math.dist(detected.surface.centre, camera), -detected.score


def _described(choice: Choice) -> str:
    """Describe what was requested, for an error."""
    what = f"object of the class {quoted(choice.class_name)}" if choice.class_name else "object"
    if choice.track_id:
        what += f" with the track id {choice.track_id}"
    if choice.region is not None:
        region = choice.region
        what += f" at ({region.left}, {region.top}), {region.width}x{region.height} pixels"
    return what


@dataclass(frozen=True, eq=False)
class Target:
    """The selected object as it was detected last.

    stamp_ns: of the newest image of its camera. seen_ns: of the last image in which it was detected. version: of the
    vocabulary that names it; another vocabulary gives all objects new track ids.
    """

    camera: str
    detected: DetectedObject
    class_name: str
    version: int
    stamp_ns: int
    seen_ns: int
    state: TargetState = TargetState.VISIBLE
    problem: str = ""

    def in_scene(self, scene: Scene) -> Target:
        """Return the target as the next scene of its camera shows it. A lost target stays lost."""
        stamp_ns = scene.frame.stamp_ns
        if self.state is TargetState.LOST:
            return self
        if scene.vocabulary.version != self.version:
            return self._lost(stamp_ns, "the vocabulary has changed: select it again")
        if stamp_ns < self.stamp_ns:
            return self._lost(stamp_ns, "time ran backwards: select it again")
        for detected in scene.objects:
            if detected.track_id == self.detected.track_id:
                return replace(
                    self,
                    detected=detected,
                    stamp_ns=stamp_ns,
                    seen_ns=stamp_ns,
                    state=TargetState.VISIBLE,
                )
        if stamp_ns - self.seen_ns >= LONGEST_ABSENCE_S * 1e9:
            return self._lost(
                stamp_ns, f"it was not detected for {LONGEST_ABSENCE_S:g} s: select it again"
            )
        return replace(self, stamp_ns=stamp_ns, state=TargetState.HIDDEN)

    def _lost(self, stamp_ns: int, why: str) -> Target:
        return replace(
            self,
            stamp_ns=stamp_ns,
            state=TargetState.LOST,
            problem=f"the selected {quoted(self.class_name)} is lost: {why}",
        )
