"""The images that a camera took lately, and the motion between them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from zs_seg_ros.perception.optical_flow import (
    FlowEstimator,
    Grey,
    Motion,
    is_still,
    likeness,
    small_grey,
)
from zs_seg_ros.types import Frame, size_of

LONGEST_GAP_NS = 2_000_000_000
"""After a longer time without images everything is forgotten."""

LONGEST_NS = 30_000_000_000
"""Older images are forgotten."""

MOST_IMAGES = 64
"""Of more images, those that are close to each other for their age are forgotten. Each takes 0.2 MB."""

# Chosen by measurement; see docs/decisions/0008-propagation.md.
_LEAST_LIKENESS = 0.42
_LEAST_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class _Observed:
    """An observed image. step: the motion back to the one before; None without one, or where nothing moved."""

    frame_id: tuple[int, int]
    grey: Grey
    step: Motion | None

    @property
    def stamp_ns(self) -> int:
        return self.frame_id[0]


@dataclass(frozen=True, eq=False)
class Step:
    """What the newest image has in common with the one before. cut: nothing that can be relied on.

    motion: None where nothing moved.
    """

    cut: bool
    motion: Motion | None = None


CUT = Step(cut=True)


class MotionHistory:
    """Remembers a camera's images, small and grey, and the motion from each to the one before. Not thread-safe."""

    def __init__(self) -> None:
        self._flow = FlowEstimator()
        self._observed: list[_Observed] = []
        self._newest: Frame | None = None

    def __len__(self) -> int:
        """Return how many images are remembered."""
        return len(self._observed)

    @property
    def newest(self) -> Frame | None:
        """The newest frame."""
        return self._newest

    @property
    def newest_grey(self) -> Grey:
        """The newest image, small and grey. Raises IndexError without images."""
        return self._observed[-1].grey

    def clear(self) -> None:
        """Forget all images."""
        self._observed.clear()
        self._newest = None

    def add(self, frame: Frame) -> Step:
        """Record the next frame and return what it has in common with the one before.

        All others are forgotten when nothing can be relied on: with another size, a stamp that is not later or later
        by more than 2 s, and where the two images are too little alike after the motion between them is undone.
        """
        newest, self._newest = self._newest, frame
        grey = small_grey(frame.image)
        step = CUT
        if newest is not None and _follows(newest, frame):
            last = self._observed[-1].grey
            if is_still(grey, last):
                # The next image is compared with the same one again: a slow motion adds up until it is noticed.
                step, grey = Step(cut=False), last
            else:
                motion = self._flow.motion(grey, last)
                trusted = np.count_nonzero(motion.trust) >= _LEAST_SHARE * grey.size
                alike = trusted and likeness(grey, last, motion) >= _LEAST_LIKENESS
                step = Step(cut=not alike, motion=motion)
        if step.cut:
            self._observed.clear()
            step = CUT
        self._observed.append(_Observed(_id_of(frame), grey, step.motion))
        self._forget()
        return step

    def since(self, frame: Frame) -> Step:
        """Return what the newest image has in common with that of an earlier frame; cut for an unknown one."""
        observed = self._observed
        index = sum(each.stamp_ns < frame.stamp_ns for each in observed)
        if index == len(observed):
            return CUT
        motion: Motion | None = None
        for later in reversed(observed[index + 1 :]):
            motion = continued(motion, later.step)
        if observed[index].frame_id == _id_of(frame):
            return Step(cut=False, motion=motion)
        return self._since_forgotten(frame, index, motion)

    def _since_forgotten(self, frame: Frame, index: int, motion: Motion | None) -> Step:
        """Return what the newest image has in common with one that was forgotten between two that were not."""
        later = self._observed[index]
        grey = small_grey(frame.image)
        if index == 0 or later.stamp_ns == frame.stamp_ns or grey.shape != later.grey.shape:
            return CUT
        return Step(cut=False, motion=continued(motion, self._flow.motion(later.grey, grey)))

    def _forget(self) -> None:
        observed, newest_ns = self._observed, self._observed[-1].stamp_ns
        while newest_ns - observed[0].stamp_ns > LONGEST_NS:
            del observed[0]
        if len(observed) <= MOST_IMAGES:
            return
        stamps_ns = np.array([each.stamp_ns for each in observed])
        gaps_ns = stamps_ns[2:] - stamps_ns[:-2]
        index = 1 + int(np.argmin(gaps_ns / (newest_ns - stamps_ns[1:-1])))
        later = observed[index + 1]
        step = continued(later.step, observed[index].step)
        observed[index + 1] = replace(later, step=step)
        del observed[index]


def continued(motion: Motion | None, older: Motion | None) -> Motion | None:
    """Return a motion continued by an older one; None stands for no motion."""
    if motion is None or older is None:
        return motion or older
    return motion.after(older)


def _id_of(frame: Frame) -> tuple[int, int]:
    """Return what identifies a frame, also of a camera that gives all of them one stamp."""
    return frame.stamp_ns, frame.received_ns


def _follows(earlier: Frame, later: Frame) -> bool:
    same_size = size_of(earlier.image) == size_of(later.image)
    return same_size and 0 < later.stamp_ns - earlier.stamp_ns <= LONGEST_GAP_NS
