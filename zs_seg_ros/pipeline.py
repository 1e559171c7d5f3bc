"""One batch of frames in, scenes out. No threads, no ROS."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter
from zs_seg_ros.types import Batch, Frame, Scene

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class Settings:
    """What can change from one frame to the next. default_threshold: for classes without one, 0..1."""

    default_threshold: float = DEFAULT_THRESHOLD


def understand(
    frames: Sequence[Frame],
    segmenter: Segmenter[Any],
    encoded: EncodedVocabulary[Any],
    settings: Settings,
) -> list[Scene]:
    """Segment frames of any cameras and sizes at once; one scene per frame, in order."""
    vocabulary = encoded.vocabulary
    start = time.perf_counter()
    batch = Batch(
        tuple(frame.picture for frame in frames),
        vocabulary.thresholds(settings.default_threshold),
    )
    segmentations = segmenter.segment(batch, encoded)
    stage_ms = {"segment": (time.perf_counter() - start) * 1000}
    return [
        Scene(frame, segmentation, vocabulary, stage_ms)
        for frame, segmentation in zip(frames, segmentations, strict=True)
    ]
