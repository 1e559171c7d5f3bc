# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg segment` without words: objects that points and boxes mark, or everything."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zs_seg_ros.cli.image_files import ImageJob, are_several, plan_jobs
from zs_seg_ros.cli.segment import ImageResult, Row, read_job, run_jobs, write_outputs
from zs_seg_ros.perception.marked_objects import segment_everything, segment_marked
from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.segmenters.instance_labels import label_instances
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.mask_prompts import MaskPrompt, MaskPrompter, mask_prompter_of
from zs_seg_ros.segmenters.recovery import recovering
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.types import DetectedObject, RgbImage, Segmentation, size_of
from zs_seg_ros.vocabulary.vocabulary import MAX_PIXELS, TargetClass, Vocabulary


@dataclass(frozen=True)
class MarkedRequest:
    """The arguments of the command line. prompts: the marked objects; empty for everything.

    overlay and label: where to write, None for nowhere. most_pixels: of an image that is read, width times height.
    """

    images: tuple[Path, ...]
    prompts: tuple[MaskPrompt, ...]
    model: str
    options: LoadOptions
    overlay: Path | None
    label: Path | None
    as_json: bool
    most_pixels: int = MAX_PIXELS


def segment_marked_images(request: MarkedRequest) -> int:
    """Segment the marked objects of all images, or everything in them, and return the exit code.

    Raises ZeroShotSegmentationError for a wrong model, a mark outside of an image, or outputs that cannot be written.
    """
    jobs = plan_jobs(request.images, request.overlay, request.label)
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for results; a library may print
        segmenter = load_segmenter(request.model, request.options)
    prompter = mask_prompter_of(segmenter)
    prompts = _with_names(request.prompts)

    def segment_one(job: ImageJob) -> ImageResult:
        image = read_job(job, request.most_pixels)
        with contextlib.redirect_stdout(sys.stderr), recovering(segmenter):
            if prompts:
                segmentation, vocabulary = segment_marked(prompter, image, prompts)
            else:
                segmentation, vocabulary = _numbered(prompter, image)
        objects = segmentation.instances or ()
        write_outputs(job, image, segmentation.label, _with_pixels(objects), vocabulary)
        return _result(size_of(image), objects, vocabulary)

    code = run_jobs(
        jobs,
        segmenter.model,
        segment_one,
        several=are_several(request.images),
        as_json=request.as_json,
    )
    segmenter.close()
    return code


def _with_names(prompts: Sequence[MaskPrompt]) -> list[MaskPrompt]:
    """Name each object without a name by its number, so that it is in the label image."""
    return [
        prompt if prompt.class_name else replace(prompt, class_name=f"object {number}")
        for number, prompt in enumerate(prompts, 1)
    ]


def _numbered(prompter: MaskPrompter, image: RgbImage) -> tuple[Segmentation, Vocabulary]:
    """Segment everything, each object as a class of its own."""
    segmentation, _ = segment_everything(prompter, image, Settings.min_area, Settings.max_objects)
    instances = segmentation.instances or ()
    names = (TargetClass(f"object {number}") for number in range(1, len(instances) + 1))
    vocabulary = replace(Vocabulary().changed_to(names), version=0)
    objects = tuple(
        replace(instance, class_id=class_id)
        for instance, class_id in zip(instances, vocabulary.ids, strict=True)
    )
    label, confidence = label_instances(objects, size_of(image), vocabulary.label_ids)
    return Segmentation(label, confidence, objects), vocabulary


def _with_pixels(objects: Sequence[DetectedObject]) -> list[DetectedObject]:
    return [detected for detected in objects if detected.area]


def _result(
    size: tuple[int, int], objects: Sequence[DetectedObject], vocabulary: Vocabulary
) -> ImageResult:
    """Return one row per object, in order; its confidence is the IoU that the model predicts for its mask."""
    height, width = size
    names = dict(zip(vocabulary.ids, vocabulary.names, strict=True))
    rows: list[Row] = []
    values: list[dict[str, Any]] = []
    for detected in objects:
        box, share = detected.box, round(100 * detected.area / (height * width), 2)
        name, score = names[detected.class_id], round(detected.score, 3)
        rows.append(Row(detected.class_id, name, detected.area, share, score))
        values.append(
            {
                "id": detected.class_id,
                "name": name,
                "area": detected.area,
                "area_percent": share,
                "score": score,
                "box": [box.left, box.top, box.left + box.width, box.top + box.height],
            }
        )
    return ImageResult(width, height, {"objects": values}, rows)
