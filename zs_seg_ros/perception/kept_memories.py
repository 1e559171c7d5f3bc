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
from dataclasses import replace

import numpy as np

from zs_seg_ros.perception.kept_matching import painted
from zs_seg_ros.perception.kept_object import KeptObject
from zs_seg_ros.segmenters.video_memory import VideoFollower
from zs_seg_ros.types import RgbImage, Segmentation, size_of
from zs_seg_ros.vocabulary.vocabulary import Vocabulary


def with_remembered(
    segmentation: Segmentation,
    image: RgbImage,
    kept: Sequence[KeptObject],
    follower: VideoFollower,
    vocabulary: Vocabulary,
) -> Segmentation:
    """Return the segmentation of an image with each object that a memory finds in it, as an instance of its class.

    kept: the objects of the image's camera; those without a memory or a class in the vocabulary are left out. The
    segmentation is returned unchanged where it is smaller than the image: objects are not requested of it.
    """
    ids = dict(zip(vocabulary.names, vocabulary.ids, strict=True))
    remembered = {ids[each.name]: each.memory for each in kept if each.name in ids and each.memory}
    if not remembered or segmentation.label.shape != size_of(image):
        return segmentation
    results = follower.follow(image, [*remembered.values()])
    objects = [
        replace(detected, class_id=class_id)
        for class_id, detected in zip(remembered, results, strict=True)
        if detected is not None
    ]
    if segmentation.instances is None and not segmentation.label.any():
        segmentation = replace(segmentation, instances=())
    blank = replace(segmentation, confidence=np.zeros_like(segmentation.confidence))
    result = painted(segmentation, blank, objects, vocabulary.label_ids.dtype)
    return result.segmentation
