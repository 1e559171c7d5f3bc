# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""One kept object, and what becomes of it in the next image of its camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from zs_seg_ros.perception.exemplar_search import ExemplarSearch
from zs_seg_ros.perception.kept_matching import is_similar, nearest
from zs_seg_ros.perception.marked_object import exemplar_of
from zs_seg_ros.perception.propagation import HALF_LIFE_S
from zs_seg_ros.perception.tracking import LONGEST_ABSENCE_S, new_track_id
from zs_seg_ros.segmenters.video_memory import VideoMemory
from zs_seg_ros.types import DetectedObject, Frame
from zs_seg_ros.vocabulary.vocabulary import Exemplar

_MOST_CARRIED_GROWTH = 2.0
"""A mask whose area has changed more since the object was detected was not carried well: optical flow lost it."""


@dataclass(frozen=True, eq=False)
class KeptObject:
    """One kept object as it was detected last.

    name: of its class. origin: the id of the class that it was detected as; 0 without one. stamp_ns: of the newest
    image of its camera. detected_ns: of the last one in which the model detected it. lost: whether it is followed by
    its track alone, and that has ended. shown: its mask in the newest image, detected there or carried to it; None
    where neither holds. number: differs between objects. memory: the model's video memory of it; None where the model
    has none, and detects it. search: what detects it by its exemplar when its memory has lost it.
    """

    name: str
    camera: str
    track_id: int
    origin: int
    exemplar: Exemplar
    detected: DetectedObject
    stamp_ns: int
    detected_ns: int
    shown: DetectedObject | None = None
    lost: bool = False
    number: int = 0
    memory: VideoMemory | None = None
    search: ExemplarSearch = field(default_factory=ExemplarSearch)

    @property
    def nbytes(self) -> int:
        """The bytes of its exemplar, of its last mask and of its video memory."""
        mask = self.exemplar.mask
        return (
            self.exemplar.image.nbytes
            + (0 if mask is None else mask.nbytes)
            + self.detected.mask.nbytes
            + (0 if self.memory is None else self.memory.nbytes)
        )

    @property
    def undetected_s(self) -> float:
        """How long it was not detected, in seconds; LONGEST_ABSENCE_S when time ran backwards."""
        absent_s = (self.stamp_ns - self.detected_ns) * 1e-9
        return absent_s if absent_s >= 0 else LONGEST_ABSENCE_S


def new_kept_object(camera: str, name: str, marked: DetectedObject, frame: Frame) -> KeptObject:
    """Return the object that was marked in an image, without a video memory. name: of its class."""
    return KeptObject(
        name=name,
        camera=camera,
        track_id=marked.track_id or new_track_id(),
        origin=marked.class_id,
        exemplar=exemplar_of(frame, marked),
        detected=replace(marked, surface=None),
        stamp_ns=frame.stamp_ns,
        detected_ns=frame.stamp_ns,
    )


def in_next_image(
    kept: KeptObject,
    by_exemplar: Sequence[DetectedObject],
    by_origin: Sequence[DetectedObject],
    prediction: DetectedObject | None,
    stamp_ns: int,
    exemplars_are_used: bool,
    min_area: int,
) -> KeptObject:
    """Return an object as the next image of its camera shows it. prediction: its last mask, moved by optical flow."""
    before = (kept.shown or kept.detected).score
    step_s = (stamp_ns - kept.stamp_ns) * 1e-9
    kept = replace(kept, stamp_ns=stamp_ns, shown=None)
    if kept.memory is not None:
        return _by_memory(kept, by_exemplar)
    remembered = kept.undetected_s < LONGEST_ABSENCE_S
    detected: DetectedObject | None = None
    if remembered:
        candidates = [*by_exemplar, *by_origin]
        detected = nearest(candidates, prediction, kept.detected, kept.undetected_s)
    elif by_exemplar:
        detected = by_exemplar[0]
    if detected is not None:
        return replace(kept, detected=detected, shown=detected, detected_ns=stamp_ns, lost=False)
    if not remembered:
        return replace(kept, lost=not exemplars_are_used)
    if prediction is None or prediction.area < min_area:
        return kept
    if not is_similar(prediction, kept.detected, _MOST_CARRIED_GROWTH):
        return kept
    return replace(kept, shown=replace(prediction, score=before * 0.5 ** (step_s / HALF_LIFE_S)))


def _by_memory(kept: KeptObject, of_class: Sequence[DetectedObject]) -> KeptObject:
    """Return an object whose class the video memory alone detects: shown where that finds it, and nowhere else."""
    if not of_class:
        return kept
    detected = of_class[0]
    return replace(kept, detected=detected, shown=detected, detected_ns=kept.stamp_ns)
