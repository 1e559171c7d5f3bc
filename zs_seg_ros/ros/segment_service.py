# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`~/segment`: segments one image and answers with its results."""

from __future__ import annotations

from collections.abc import Sequence

import zs_seg_ros.msg as messages
from zs_seg_ros.errors import MaskPromptError
from zs_seg_ros.images.message_images import image_from_message
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.perception.marked_objects import segment_everything, segment_marked
from zs_seg_ros.perception.masks import extract_objects
from zs_seg_ros.ros.conversions import classes_from_messages
from zs_seg_ros.ros.parameters.node_parameters import Parameters
from zs_seg_ros.ros.scene_messages import confidence_message, label_message, objects_message
from zs_seg_ros.segmenters.mask_prompts import (
    MOST_POINTS,
    MOST_PROMPTS,
    MarkedPoint,
    MaskPrompt,
)
from zs_seg_ros.srv import SegmentImage
from zs_seg_ros.types import Box, DetectedObject, RgbImage, Segmentation, size_of
from zs_seg_ros.vocabulary.vocabulary import Vocabulary


def answer(
    request: SegmentImage.Request,
    response: SegmentImage.Response,
    model: LiveModel,
    parameters: Parameters,
) -> None:
    """Segment the image of the request and fill in the response.

    Raises ImageError, MaskPromptError, VocabularyError or ModelError for a request that cannot be answered, or what the
    model raises.
    """
    _check_one_kind(request)
    prompts = _mask_prompts(request.prompts)
    image = image_from_message(request.image, parameters.image_limits)
    if prompts or request.everything:
        segmentation, vocabulary = _segment_without_words(image, prompts, model, parameters)
        objects = segmentation.instances or ()
    else:
        segmentation, vocabulary, objects = _segment_by_words(request, image, model, parameters)
    header = request.image.header
    response.label = label_message(segmentation.label, header)
    response.confidence = confidence_message(segmentation.confidence, header)
    response.result = objects_message(objects, size_of(image), vocabulary, header)
    response.success = True


def _segment_by_words(
    request: SegmentImage.Request, image: RgbImage, model: LiveModel, parameters: Parameters
) -> tuple[Segmentation, Vocabulary, tuple[DetectedObject, ...]]:
    settings = parameters.settings
    segmentation, vocabulary = model.segment_once(
        image,
        classes_from_messages(request.classes, parameters.image_limits),
        settings.default_threshold,
        parameters.limits,
        parameters.vocabulary_timeout_s,
    )
    objects = extract_objects(segmentation, settings.min_area, settings.max_objects)
    return segmentation, vocabulary, objects


def _segment_without_words(
    image: RgbImage, prompts: Sequence[MaskPrompt], model: LiveModel, parameters: Parameters
) -> tuple[Segmentation, Vocabulary]:
    """Segment the marked objects or, without any, everything."""
    timeout_s = parameters.vocabulary_timeout_s
    if prompts:
        return model.segment_without_words(
            lambda prompter: segment_marked(prompter, image, prompts, parameters.limits), timeout_s
        )
    least, most = parameters.settings.min_area, parameters.settings.max_objects
    return model.segment_without_words(
        lambda prompter: segment_everything(prompter, image, least, most), timeout_s
    )


def _check_one_kind(request: SegmentImage.Request) -> None:
    requested = [name for name in ("classes", "prompts", "everything") if getattr(request, name)]
    if len(requested) > 1:
        raise MaskPromptError(
            f"{' and '.join(requested)} cannot be requested together; give one of them in each call"
        )


def _mask_prompts(prompts: Sequence[messages.MaskPrompt]) -> tuple[MaskPrompt, ...]:
    """Convert marked objects. Their numbers are checked first, since a message can hold millions."""
    if len(prompts) > MOST_PROMPTS:
        raise MaskPromptError(
            f"{len(prompts)} marked objects are too many; give at most {MOST_PROMPTS} in one call"
        )
    for number, prompt in enumerate(prompts, start=1):
        if len(prompt.points) > MOST_POINTS:
            raise MaskPromptError(
                f"marked object {number} has {len(prompt.points)} points; at most {MOST_POINTS} are accepted"
            )
    return tuple(
        MaskPrompt(
            tuple(MarkedPoint(point.x, point.y, point.outside) for point in prompt.points),
            _box(prompt),
            prompt.class_name,
        )
        for prompt in prompts
    )


def _box(prompt: messages.MaskPrompt) -> Box | None:
    roi = prompt.box
    if roi.width == 0:
        return None
    return Box(roi.x_offset, roi.y_offset, roi.width, roi.height)
