# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg segment`: segments image files, writes overlays and label images, and prints a table."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from zs_seg_ros.cli.image_files import (
    ImageJob,
    are_several,
    plan_jobs,
    write_png,
)
from zs_seg_ros.errors import ImageError
from zs_seg_ros.images.image_files import read_image
from zs_seg_ros.perception.masks import extract_objects
from zs_seg_ros.perception.overlay import draw_overlay
from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.loaded_model import LoadedModel, load_model
from zs_seg_ros.segmenters.recovery import recovering
from zs_seg_ros.shown import shown
from zs_seg_ros.types import Batch, DetectedObject, Label, RgbImage, Segmentation
from zs_seg_ros.vocabulary.vocabulary import MAX_PIXELS, TargetClass, Vocabulary

_ALL_READ, _SOME_UNREADABLE, _NONE_READ = 0, 1, 2


@dataclass(frozen=True)
class SegmentRequest:
    """The arguments of the command line.

    overlay and label: where to write, None for nowhere. most_pixels: of an image that is read, width times height.
    """

    images: tuple[Path, ...]
    classes: tuple[TargetClass, ...]
    model: str
    options: LoadOptions
    threshold: float
    overlay: Path | None
    label: Path | None
    as_json: bool
    most_pixels: int = MAX_PIXELS


@dataclass(frozen=True)
class Row:
    """A row of the table: one class in one image.

    area: pixels. confidence: 0..1, the mean over these pixels; None without pixels. presence: 0..1, how surely the
    image shows the class at all; None for a model without such a score.
    """

    id: int
    name: str
    area: int
    area_percent: float
    confidence: float | None
    presence: float | None = None

    def values(self) -> dict[str, Any]:
        """Return the fields for JSON. Models without a presence score have no key for it."""
        values = asdict(self)
        if self.presence is None:
            del values["presence"]
        return values


@dataclass(frozen=True)
class ImageResult:
    """The results of one image. values: for JSON, beside those that all kinds have. rows: of the table."""

    width: int
    height: int
    values: dict[str, Any]
    rows: Sequence[Row]


def segment_images(request: SegmentRequest) -> int:
    """Segment all images by words and examples, and return the exit code.

    Raises ZeroShotSegmentationError for wrong classes, a wrong model, or outputs that cannot be written.
    """
    vocabulary = Vocabulary().changed_to(request.classes)
    jobs = plan_jobs(request.images, request.overlay, request.label)
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for results; a library may print
        model = load_model(request.model, request.options, vocabulary)
    for warning in model.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    code = run_jobs(
        jobs,
        model.segmenter.model,
        lambda job: _segment_image(job, request, model),
        several=are_several(request.images),
        as_json=request.as_json,
    )
    model.segmenter.close()
    return code


def run_jobs(
    jobs: Sequence[ImageJob],
    model: str,
    segment_one: Callable[[ImageJob], ImageResult],
    *,
    several: bool,
    as_json: bool,
) -> int:
    """Segment each image, print the results, and return the exit code. Images that cannot be read are left out."""
    results: list[dict[str, Any]] = []
    # disable=None: no bar where stderr is not a terminal
    for job in tqdm(jobs, unit="image", disable=None if several else True):
        try:
            result = segment_one(job)
        except ImageError as error:
            tqdm.write(f"zs-seg: {error}", file=sys.stderr)
            continue
        results.append(
            {
                "picture": str(job.image),
                "width": result.width,
                "height": result.height,
                "model": model,
                **result.values,
            }
        )
        if not as_json:
            title = f"{shown(job.image, 300)}\n" if several else ""
            tqdm.write(title + table(result.rows), file=sys.stdout)
    if as_json and (several or results):
        print(json.dumps(results if several else results[0], indent=1))
    if not results:
        return _NONE_READ
    return _ALL_READ if len(results) == len(jobs) else _SOME_UNREADABLE


def read_job(job: ImageJob, most_pixels: int) -> RgbImage:
    """Read the image of a job. Raises ImageError."""
    return read_image(job.image, most_pixels, "make it smaller, or raise --max-image-pixels")


def _segment_image(job: ImageJob, request: SegmentRequest, model: LoadedModel) -> ImageResult:
    """Read and segment an image, and write its outputs."""
    segmenter, encoded = model.segmenter, model.encoded
    vocabulary = encoded.vocabulary
    image = read_job(job, request.most_pixels)
    batch = Batch((image,), vocabulary.thresholds(request.threshold))
    with contextlib.redirect_stdout(sys.stderr), recovering(segmenter):
        [segmentation] = segmenter.segment(batch, encoded)
    objects = extract_objects(segmentation, Settings.min_area, Settings.max_objects)
    write_outputs(job, image, segmentation.label, objects, vocabulary)
    rows = measure(segmentation, vocabulary)
    height, width = segmentation.label.shape
    return ImageResult(width, height, {"classes": [row.values() for row in rows]}, rows)


def write_outputs(
    job: ImageJob,
    image: RgbImage,
    label: Label,
    objects: Sequence[DetectedObject],
    vocabulary: Vocabulary,
) -> None:
    """Write the overlay and the label image of a job, where they are requested."""
    if job.overlay:
        write_png(job.overlay, draw_overlay(image, label, objects, vocabulary))
    if job.label:
        write_png(job.label, label)


def measure(segmentation: Segmentation, vocabulary: Vocabulary) -> list[Row]:
    """Return area and mean confidence of each class, in the order of the vocabulary."""
    label = segmentation.label.ravel()
    length = max(vocabulary.ids, default=0) + 1
    areas = np.bincount(label, minlength=length)
    presence = segmentation.presence or {}
    sums = np.bincount(label, segmentation.confidence.ravel(), minlength=length)
    return [
        Row(
            id=class_id,
            name=name,
            area=int(areas[class_id]),
            area_percent=round(100 * float(areas[class_id]) / label.size, 2),
            confidence=(
                round(float(sums[class_id] / areas[class_id]) / 255, 3) if areas[class_id] else None
            ),
            presence=round(presence[class_id], 3) if class_id in presence else None,
        )
        for class_id, name in zip(vocabulary.ids, vocabulary.names, strict=True)
    ]


def table(rows: Sequence[Row]) -> str:
    """Format the rows as text, in columns."""
    names = [shown(row.name) for row in rows]
    name_width = max(map(len, ("name", *names)))
    lines = [f"{'id':>5}  {'name':<{name_width}}  {'area px':>9}  {'area %':>6}  confidence"]
    with_presence = any(row.presence is not None for row in rows)
    lines[0] += "  presence" * with_presence
    for row, name in zip(rows, names, strict=True):
        confidence = "-" if row.confidence is None else f"{row.confidence:.2f}"
        lines.append(
            f"{row.id:>5}  {name:<{name_width}}  {row.area:>9}  {row.area_percent:>6.2f}"
            f"  {confidence:>10}"
        )
        if with_presence:
            lines[-1] += f"  {'-' if row.presence is None else f'{row.presence:.2f}':>8}"
    return "\n".join(lines)
