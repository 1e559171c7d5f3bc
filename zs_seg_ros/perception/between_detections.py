# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.


"""Instances that a model's video memory follows in the images between two detections."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from zs_seg_ros.perception.masks import full_mask
from zs_seg_ros.segmenters.base import EncodedVocabulary, Segmenter
from zs_seg_ros.segmenters.instance_labels import label_instances
from zs_seg_ros.segmenters.video_memory import VideoFollower, VideoMemory
from zs_seg_ros.types import Batch, DetectedObject, Frame, RgbImage, Segmentation, size_of
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

MOST_FOLLOWED = 32
"""Instances of an image that are followed, the most confident ones. It bounds time and memory."""
_MOST_CAMERAS = 16
"""Cameras whose last detection is held: those of the newest ones. A node that drops cameras frees theirs."""


@dataclass(frozen=True, eq=False)
class _Detection:
    """The instances that were detected last in the images of a camera, each with its memory.

    follower: what follows them. stamp_ns: of that image, which had the size (H, W).
    """

    follower: VideoFollower
    stamp_ns: int
    size: tuple[int, int]
    version: int
    instances: tuple[DetectedObject, ...]
    memories: tuple[VideoMemory, ...]


class BetweenDetections:
    """The last detection of each camera, and whether an image needs the next one. Thread-safe.

    An image is detected in when the interval since the last detection in its camera is over, and after a change of the
    vocabulary, of the image's size or of time to the past. In every other image the memories find the instances of the
    last detection, with the class and the score of it; the detector does not run.
    """

    def __init__(self) -> None:
        self._last: dict[str, _Detection] = {}
        self._lock = threading.Lock()

    def segment(
        self,
        frames: Sequence[Frame],
        batch: Batch,
        segmenter: Segmenter[Any],
        follower: VideoFollower,
        encoded: EncodedVocabulary[Any],
        interval_s: float,
    ) -> list[Segmentation]:
        """Return one segmentation per image, in order, detected or followed.

        batch: the images of the frames, upright, with sizes that are their own. follower: the segmenter's part that
        follows objects.
        """
        known = [
            self._known(frame, image, follower, encoded.of_results, interval_s)
            for frame, image in zip(frames, batch.images, strict=True)
        ]
        due = [last is None for last in known]
        detected = iter(segmenter.segment(_part(batch, due), encoded) if any(due) else [])
        results = []
        for frame, image, last in zip(frames, batch.images, known, strict=True):
            if last is None:
                results.append(next(detected))
                self._remember(frame, image, results[-1], follower, encoded.of_results)
            else:
                results.append(_followed(last, image, encoded.of_results))
        return results

    def forget(self) -> None:
        """Forget all detections: the next image of each camera is detected in."""
        with self._lock:
            self._last.clear()

    def _known(
        self,
        frame: Frame,
        image: RgbImage,
        follower: VideoFollower,
        vocabulary: Vocabulary,
        interval_s: float,
    ) -> _Detection | None:
        """Return the detection whose instances are followed in an image; None where it is detected in."""
        with self._lock:
            last = self._last.get(frame.camera)
        if last is None or last.follower is not follower:
            return None
        if (last.version, last.size) != (vocabulary.version, size_of(image)):
            return None
        return last if 0 < frame.stamp_ns - last.stamp_ns < interval_s * 1e9 else None

    def _remember(
        self,
        frame: Frame,
        image: RgbImage,
        segmentation: Segmentation,
        follower: VideoFollower,
        vocabulary: Vocabulary,
    ) -> None:
        size = size_of(image)
        # The most confident come first.
        instances = tuple(i for i in segmentation.instances or () if i.area)[:MOST_FOLLOWED]
        masks = [full_mask(instance.mask, instance.box, size) for instance in instances]
        memories = follower.remember(image, masks)
        with self._lock:
            self._last.pop(frame.camera, None)
            self._last[frame.camera] = _Detection(
                follower, frame.stamp_ns, size, vocabulary.version, instances, memories
            )
            while len(self._last) > _MOST_CAMERAS:
                del self._last[next(iter(self._last))]


def _followed(last: _Detection, image: RgbImage, vocabulary: Vocabulary) -> Segmentation:
    """Return the segmentation of the instances that the memories find in an image."""
    places = last.follower.follow(image, last.memories)
    instances = tuple(
        replace(place, class_id=instance.class_id, score=instance.score)
        for place, instance in zip(places, last.instances, strict=True)
        if place is not None
    )
    label, confidence = label_instances(
        instances, size_of(image), vocabulary.label_ids, vocabulary.precedence
    )
    return Segmentation(label, confidence, instances)


def _part(batch: Batch, chosen: Sequence[bool]) -> Batch:
    """Return the batch of the chosen images."""
    indices = [i for i, is_chosen in enumerate(chosen) if is_chosen]
    return replace(
        batch,
        images=tuple(batch.images[i] for i in indices),
        sizes=tuple(batch.sizes[i] for i in indices),
    )
