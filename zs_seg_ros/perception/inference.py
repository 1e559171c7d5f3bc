# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.


"""Inference on a batch, by the model's detector and by its video memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zs_seg_ros.perception.between_detections import BetweenDetections
from zs_seg_ros.perception.kept_memories import KeptMemories
from zs_seg_ros.perception.kept_objects import KeptObjects
from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter
from zs_seg_ros.segmenters.kept_images import keeping_images
from zs_seg_ros.segmenters.video_memory import video_follower_of
from zs_seg_ros.types import Batch, Frame, Segmentation


def inferred(
    frames: Sequence[Frame],
    batch: Batch,
    segmenter: Segmenter[Any],
    encoded: EncodedVocabulary[Any],
    kept: KeptObjects | None,
    between: BetweenDetections | None,
    interval_s: float,
    default_threshold: float,
) -> list[Segmentation]:
    """Return one segmentation per image of a batch, in order, with the kept objects that a video memory finds.

    batch: the images of the frames, upright. between, interval_s: the last detections, and the time from one to the
    next; 0: every image is detected in. default_threshold: for classes without one. A model without a video memory
    detects in every image.
    """
    follower = video_follower_of(segmenter)
    any_kept = kept is not None and any(kept.in_camera(frame.camera) for frame in frames)
    if between is not None and not interval_s:
        between.forget()
    if follower is None or not (interval_s or any_kept):
        return segmenter.segment(batch, encoded)
    with keeping_images():
        if between is not None and interval_s:
            results = between.segment(frames, batch, segmenter, follower, encoded, interval_s)
        else:
            results = segmenter.segment(batch, encoded)
        if kept is None:
            return results
        memories = KeptMemories(kept, segmenter, follower, encoded.of_results, default_threshold)
        return [
            memories.with_remembered(result, frame, image)
            for result, frame, image in zip(results, frames, batch.images, strict=True)
        ]
