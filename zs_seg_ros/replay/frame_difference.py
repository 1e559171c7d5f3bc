# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The differences of one frame from the golden results, and the frames with the largest ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from zs_seg_ros.shown import shown

_MOST_CLASSES = 50
"""Classes of which the worst frame is kept as an image, so that a thousand classes take no gigabyte."""


@dataclass(frozen=True)
class FrameDifference:
    """The differences of one frame.

    reasons: what is beyond a tolerance, one text each. share: of the pixels that either result labels, the share whose
    class differs, 0..1. pixels: how many differ, by class, where any do.
    """

    camera: str
    index: int
    stamp_ns: int
    reasons: tuple[str, ...]
    share: float
    pixels: dict[str, int] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The camera, index and stamp of the frame in one line."""
        seconds, nanoseconds = divmod(self.stamp_ns, 10**9)
        return f"{shown(self.camera)}, image {self.index}, stamp {seconds}.{nanoseconds:09d}"

    @property
    def rank(self) -> tuple[float, int]:
        """A value that is larger for a worse frame."""
        return self.share, len(self.reasons)


@dataclass(frozen=True, eq=False)
class DifferingFrame:
    """A frame that differs. jpeg: image, golden result, result now and difference, from left to right."""

    difference: FrameDifference
    jpeg: bytes


class WorstFrames:
    """Keeps the images of the worst frames, and of the worst frame of each class."""

    def __init__(self, most: int) -> None:
        """Keep up to `most` frames, and those of up to 50 classes."""
        self._most = most
        self._frames: dict[tuple[str, int], DifferingFrame] = {}
        self._worst: list[tuple[str, int]] = []
        self._of_class: dict[str, tuple[int, tuple[str, int]]] = {}

    def offer(self, difference: FrameDifference, draw: Callable[[], bytes]) -> None:
        """Keep a frame if it is among the worst. draw: returns its image, and is called only then."""
        if not self._most or not difference.reasons:
            return
        key = difference.camera, difference.index
        worse_classes = [
            name
            for name, pixels in difference.pixels.items()
            if pixels > self._of_class.get(name, (0, key))[0]
            and (name in self._of_class or len(self._of_class) < _MOST_CLASSES)
        ]
        is_worst = (
            len(self._worst) < self._most
            or difference.rank > self._frames[self._worst[-1]].difference.rank
        )
        if not worse_classes and not is_worst:
            return
        self._frames[key] = DifferingFrame(difference, draw())
        for name in worse_classes:
            self._of_class[name] = difference.pixels[name], key
        if is_worst:
            self._worst = sorted([*self._worst, key], key=self._order)[: self._most]
        held = {*self._worst, *(key for _, key in self._of_class.values())}
        self._frames = {key: frame for key, frame in self._frames.items() if key in held}

    def _order(self, key: tuple[str, int]) -> tuple[float, int, str, int]:
        share, reasons = self._frames[key].difference.rank
        return -share, -reasons, *key

    def chosen(self, worst_classes: Sequence[str]) -> tuple[DifferingFrame, ...]:
        """Return the worst frames, the worst first.

        Up to half of them, and at least one, are the worst frames of `worst_classes`, from the first of these on.
        """
        of_classes = [self._of_class[name][1] for name in worst_classes if name in self._of_class]
        keys = list(dict.fromkeys(of_classes))[: max(1, self._most // 2)]
        for key in self._worst:
            if len(keys) < self._most and key not in keys:
                keys.append(key)
        return tuple(self._frames[key] for key in sorted(keys, key=self._order))
