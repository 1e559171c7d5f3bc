# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.


"""Kept objects that the model follows by a video memory: their masks become detections of their classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zs_seg_ros.perception.kept_matching import painted, without
from zs_seg_ros.perception.kept_object import KeptObject
from zs_seg_ros.perception.kept_objects import KeptObjects
from zs_seg_ros.perception.masks import full_mask
from zs_seg_ros.perception.tracking import LONGEST_ABSENCE_S
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.video_memory import VideoFollower
from zs_seg_ros.types import DetectedObject, Frame, RgbImage, Segmentation, size_of
from zs_seg_ros.vocabulary.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class KeptMemories:
    """The video memories of kept objects, and what finds the objects in an image.

    kept: all kept objects. follower: the segmenter's part that follows them. vocabulary: of the results.
    """

    kept: KeptObjects
    segmenter: Segmenter[Any]
    follower: VideoFollower
    vocabulary: Vocabulary
    default_threshold: float

    def with_remembered(
        self, segmentation: Segmentation, frame: Frame, image: RgbImage
    ) -> Segmentation:
        """Return the segmentation of an image with each object that a memory finds in it, as an instance of its class.

        image: that of the frame, upright. Objects without a memory or a class in the vocabulary are left out. The
        segmentation is returned unchanged where it is smaller than the image: objects are not requested of it.
        """
        mine = [
            each
            for each in self.kept.in_camera(frame.camera)
            if each.memory and each.name in self.vocabulary.names
        ]
        if not mine or segmentation.label.shape != size_of(image):
            return segmentation
        objects = self._objects(mine, frame.stamp_ns, image)
        if segmentation.instances is None and not segmentation.label.any():
            segmentation = replace(segmentation, instances=())
        blank = replace(segmentation, confidence=np.zeros_like(segmentation.confidence))
        result = painted(segmentation, blank, objects, self.vocabulary.label_ids.dtype)
        return result.segmentation

    def _objects(
        self, mine: Sequence[KeptObject], stamp_ns: int, image: RgbImage
    ) -> list[DetectedObject]:
        """Return the objects that an image shows, each with the id of its class."""
        memories = [each.memory for each in mine if each.memory]
        results = self.follower.follow(image, memories)
        pairs = [*zip(mine, results, strict=True)]
        objects = [replace(o, class_id=self._id_of(kept)) for kept, o in pairs if o is not None]
        for kept in (kept for kept, detected in pairs if detected is None):
            if replace(kept, stamp_ns=stamp_ns).undetected_s >= LONGEST_ABSENCE_S:
                objects += self._detected_again(kept, image, objects)
        return objects

    def _id_of(self, kept: KeptObject) -> int:
        return self.vocabulary.ids[self.vocabulary.names.index(kept.name)]

    def _detected_again(
        self, kept: KeptObject, image: RgbImage, others: Sequence[DetectedObject]
    ) -> list[DetectedObject]:
        """Return the best detection of an object's exemplar that is none of the others, with which a new memory begins.

        At most one; none where the model detects nothing, or takes no exemplars.
        """
        alone = self.vocabulary.without({*self.vocabulary.names} - {kept.name})
        candidates = kept.search.detect(image, alone, self.segmenter, self.default_threshold)
        for detected in without(candidates, others)[:1]:
            mask = full_mask(detected.mask, detected.box, size_of(image))
            [memory] = self.follower.remember(image, [mask])
            self.kept.begin_memory(kept, memory)
            return [detected]
        return []
