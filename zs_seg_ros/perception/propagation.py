"""Carries the result of a model that is slower than the camera to the camera's newest image.

The motion between successive images is estimated as they are observed. When the model's result for an earlier image is
ready, the motion since then is composed, and each later image extends it: a result costs one remap.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.perception.optical_flow import (
    TRUSTED,
    FlowEstimator,
    FlowField,
    Grey,
    Motion,
    grid_of,
    sample,
    small_grey,
)
from zs_seg_ros.types import Box, DetectedObject, Frame, Label, Segmentation, size_of

Mode = Literal["auto", "flow"]

LONGEST_GAP_NS = 2_000_000_000
"""After a longer time without images, or a step back in time, everything is forgotten."""

MOST_FRAMES = 64
"""Frames that are remembered: about 0.5 MB each."""

HALF_LIFE_S = 4.0
"""Confidence halves within this age of a result."""

# Chosen by measurement; see docs/decisions.
_LEAST_TRUST = 64
_CUT_SHARE = 0.3
_EQUAL = 0.25
_LEAST_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class Carried:
    """A result for the newest frame. inferred_stamp_ns: the stamp of the image that the model segmented."""

    segmentation: Segmentation
    inferred_stamp_ns: int


@dataclass(frozen=True, eq=False)
class _Observed:
    """An observed frame. step: the motion back to the frame before; None without one, or where the two are equal."""

    identity: tuple[int, int]
    grey: Grey
    step: Motion | None


@dataclass(frozen=True, eq=False)
class _Keyframe:
    """The newest result. motion: from the newest frame back to its frame; None where the two are equal."""

    frame: Frame
    segmentation: Segmentation
    motion: Motion | None


class Propagator:
    """Carries the results of one camera to its newest frame. Not thread-safe: its caller needs a lock."""

    def __init__(self) -> None:
        self._flow = FlowEstimator()
        self._observed: deque[_Observed] = deque(maxlen=MOST_FRAMES)
        self._newest: Frame | None = None
        self._keyframe: _Keyframe | None = None

    def reset(self) -> None:
        """Forget all frames and the result."""
        self._observed.clear()
        self._newest = self._keyframe = None

    def observe(self, frame: Frame) -> None:
        """Record the camera's next frame: estimate its motion since the frame before.

        A frame of another size, a stamp that is not later or later by more than 2 s, and a change of scene (an image
        that shares little with the last one) make everything before it forgotten.
        """
        newest, self._newest = self._newest, frame
        grey = small_grey(frame.image)
        if newest is None or not _follows(newest, frame):
            return self._begin(frame, grey)
        last = self._observed[-1].grey
        if cv2.norm(grey, last, cv2.NORM_L1) <= _EQUAL * grey.size:
            # Compared with the same image next time: a slow drift adds up until it is noticed.
            self._observed.append(_Observed(_identity(frame), last, None))
            return None
        step = self._flow.motion(grey, last)
        if np.count_nonzero(step.trust) < _CUT_SHARE * step.trust.size:
            return self._begin(frame, grey)
        self._observed.append(_Observed(_identity(frame), grey, step))
        keyframe = self._keyframe
        if keyframe is not None:
            motion = step if keyframe.motion is None else step.after(keyframe.motion)
            self._keyframe = replace(keyframe, motion=motion)
        return None

    def update(self, frame: Frame, segmentation: Segmentation) -> None:
        """Take over the model's result for a frame that was observed, or for one that comes next.

        Results for forgotten frames and for frames before the newest result's are ignored, and so are results of
        another size than their image's.
        """
        if segmentation.label.shape != size_of(frame.image):
            return
        if self._newest is None or frame.stamp_ns > self._newest.stamp_ns:
            self.observe(frame)
        if self._keyframe is not None and frame.stamp_ns < self._keyframe.frame.stamp_ns:
            return
        identity, motion = _identity(frame), None
        for later in reversed(self._observed):
            if later.identity == identity:
                self._keyframe = _Keyframe(frame, segmentation, motion)
                return
            if later.step is not None:
                motion = later.step if motion is None else motion.after(later.step)

    def carried(self, mode: Mode = "auto") -> Carried | None:
        """Return the newest result, carried to the newest frame; None without a result that can be carried."""
        keyframe, newest = self._keyframe, self._newest
        if keyframe is None or newest is None:
            return None
        stamp_ns = keyframe.frame.stamp_ns
        segmentation = keyframe.segmentation
        if keyframe.motion is not None:
            segmentation = _warped(segmentation, keyframe.motion)
        age_s = (newest.stamp_ns - stamp_ns) * 1e-9
        return Carried(_aged(segmentation, age_s), stamp_ns)

    def _begin(self, frame: Frame, grey: Grey) -> None:
        self._observed.clear()
        self._keyframe = None
        self._observed.append(_Observed(_identity(frame), grey, None))


def _identity(frame: Frame) -> tuple[int, int]:
    """Return what tells frames apart, also those of a camera without a clock."""
    return frame.stamp_ns, frame.received_ns


def _follows(earlier: Frame, later: Frame) -> bool:
    same_size = size_of(earlier.image) == size_of(later.image)
    return same_size and 0 < later.stamp_ns - earlier.stamp_ns <= LONGEST_GAP_NS


def _warped(segmentation: Segmentation, motion: Motion) -> Segmentation:
    places, trust = _full_size(motion, segmentation.label.shape)
    label = sample(segmentation.label, places, smooth=False, replicate=False)
    confidence = sample(segmentation.confidence, places, smooth=True)
    trusted = trust >= _LEAST_TRUST
    label = cast(Label, np.where(trusted, label, 0).astype(label.dtype))
    confidence = _lowered(confidence, label, trust / np.float32(TRUSTED))
    instances = segmentation.instances
    if instances is not None:
        instances = _warped_instances(instances, places, trusted)
    return Segmentation(label, confidence, instances)


def _full_size(motion: Motion, size: tuple[int, ...]) -> tuple[FlowField, NDArray[np.uint8]]:
    """Return for each pixel of the full resolution its place in the older image, and the trust in it."""
    height, width = size
    small_height, small_width = motion.trust.shape
    flow, trust = motion.flow, motion.trust
    if (small_height, small_width) != (height, width):
        scale = np.array([width / small_width, height / small_height], np.float32)
        flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR) * scale
        trust = np.asarray(cv2.resize(trust, (width, height)), np.uint8)
    return grid_of(size) + flow, trust


def _aged(segmentation: Segmentation, age_s: float) -> Segmentation:
    """Lower the confidence of all pixels and instances for the age of the result."""
    if age_s <= 0:
        return segmentation
    factor = 0.5 ** (age_s / HALF_LIFE_S)
    confidence = _lowered(segmentation.confidence, segmentation.label, np.float32(factor))
    instances = segmentation.instances
    if instances is not None:
        instances = tuple(replace(each, score=each.score * factor) for each in instances)
    return replace(segmentation, confidence=confidence, instances=instances)


def _lowered(
    confidence: NDArray[np.uint8], label: Label, factor: np.float32 | NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Return confidence times factor; at least 1 where the label is not 0, and 0 where it is."""
    lowered = np.maximum((confidence * factor).astype(np.uint8), 1)
    return np.where(label > 0, lowered, 0).astype(np.uint8)


def _warped_instances(
    instances: tuple[DetectedObject, ...], places: FlowField, trusted: NDArray[np.bool_]
) -> tuple[DetectedObject, ...]:
    warped = (_warped_instance(instance, places, trusted) for instance in instances)
    return tuple(instance for instance in warped if instance is not None)


def _warped_instance(
    instance: DetectedObject, places: FlowField, trusted: NDArray[np.bool_]
) -> DetectedObject | None:
    """Return an instance at its new place; None where too little of it is left."""
    box = instance.box
    x, y = places[..., 0], places[..., 1]
    inside = (x > box.left - 1) & (x < box.left + box.width)
    inside &= (y > box.top - 1) & (y < box.top + box.height)
    inside &= trusted
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not rows.size:
        return None
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    corner = np.array([box.left, box.top], np.float32)
    mask = instance.mask.view(np.uint8)
    carried = sample(mask, places[part] - corner, smooth=False, replicate=False)
    left = carried.view(np.bool_) & trusted[part]
    if np.count_nonzero(left) < max(1.0, _LEAST_SHARE * instance.area):
        return None
    return _tight(instance, left, int(rows[0]), int(columns[0]))


def _tight(
    instance: DetectedObject, mask: NDArray[np.bool_], top: int, left: int
) -> DetectedObject:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = mask.shape
    box = Box(left + int(columns[0]), top + int(rows[0]), width, height)
    return replace(instance, box=box, mask=np.ascontiguousarray(mask))
