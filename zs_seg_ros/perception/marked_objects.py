# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Segmentation of one image without words: of objects that are marked by points and boxes, or of everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from zs_seg_ros.segmenters.instance_labels import label_instances
from zs_seg_ros.segmenters.mask_prompts import MaskPrompt, MaskPrompter, check_mask_prompts
from zs_seg_ros.types import RgbImage, Segmentation, size_of
from zs_seg_ros.vocabulary.text import normalised
from zs_seg_ros.vocabulary.vocabulary import DEFAULT_LIMITS, Limits, TargetClass, Vocabulary


def segment_marked(
    prompter: MaskPrompter,
    image: RgbImage,
    prompts: Sequence[MaskPrompt],
    limits: Limits = DEFAULT_LIMITS,
) -> tuple[Segmentation, Vocabulary]:
    """Segment marked objects: one instance per prompt, in order, and the vocabulary of their class names.

    Prompts of one class name have one class. An instance without a class name has the id 0 and is not in the label
    image. The instance of an empty mask has an empty box. The vocabulary has the version 0.

    Raises MaskPromptError for a point or a box that is refused, VocabularyError for a class name, and what the model
    raises.
    """
    check_mask_prompts(prompts, image)
    class_names = [normalised(prompt.class_name) for prompt in prompts]
    names = dict.fromkeys(name for name in class_names if name)
    vocabulary = replace(Vocabulary().changed_to(map(TargetClass, names), limits), version=0)
    ids = {"": 0, **dict(zip(names, vocabulary.ids, strict=True))}
    objects = prompter.masks_of_prompts(image, prompts)
    instances = tuple(
        replace(detected, class_id=ids[name])
        for name, detected in zip(class_names, objects, strict=True)
    )
    named = [instance for instance in instances if instance.class_id]
    named.sort(key=lambda instance: -instance.score)
    label, confidence = label_instances(named, size_of(image), vocabulary.label_ids)
    return Segmentation(label, confidence, instances), vocabulary


def segment_everything(
    prompter: MaskPrompter, image: RgbImage, min_area: int, max_objects: int
) -> tuple[Segmentation, Vocabulary]:
    """Segment everything that a grid of points gives, most confident first, as instances without a class.

    min_area: pixels of the smallest instance. max_objects: the most instances. The label image is empty, and the
    vocabulary has no class and the version 0. Raises what the model raises.
    """
    size = size_of(image)
    empty = np.zeros(size, np.uint8)
    instances = prompter.all_masks(image, min_area, max_objects)
    return Segmentation(empty, empty.copy(), instances), Vocabulary()
