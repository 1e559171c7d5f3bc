"""`zs-seg segment`: segments image files, writes overlays and label images, and prints a table."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
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
from zs_seg_ros.types import Batch, Segmentation
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

    area: pixels. confidence: 0..1, the mean over these pixels; None without pixels.
    """

    id: int
    name: str
    area: int
    area_percent: float
    confidence: float | None


def segment_images(request: SegmentRequest) -> int:
    """Segment all images, and return the exit code.

    Raises ZeroShotSegmentationError for wrong classes, a wrong model, or outputs that cannot be written.
    """
    vocabulary = Vocabulary().changed_to(request.classes)
    jobs = plan_jobs(request.images, request.overlay, request.label)
    several = are_several(request.images)
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for results; a library may print
        model = load_model(request.model, request.options, vocabulary)
    for warning in model.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    results: list[dict[str, Any]] = []
    # disable=None: no bar where stderr is not a terminal
    for job in tqdm(jobs, unit="image", disable=None if several else True):
        try:
            size, rows = _segment_image(job, request, model)
        except ImageError as error:
            tqdm.write(f"zs-seg: {error}", file=sys.stderr)
            continue
        width, height = size
        results.append(
            {
                "picture": str(job.image),
                "width": width,
                "height": height,
                "model": model.segmenter.model,
                "classes": [asdict(row) for row in rows],
            }
        )
        if not request.as_json:
            title = f"{shown(job.image, 300)}\n" if several else ""
            tqdm.write(title + table(rows), file=sys.stdout)
    model.segmenter.close()
    if request.as_json and (several or results):
        print(json.dumps(results if several else results[0], indent=1))
    if not results:
        return _NONE_READ
    return _ALL_READ if len(results) == len(jobs) else _SOME_UNREADABLE


def _segment_image(
    job: ImageJob, request: SegmentRequest, model: LoadedModel
) -> tuple[tuple[int, int], list[Row]]:
    """Read and segment an image, and write its outputs. Return its (width, height) and one row per class."""
    segmenter, encoded = model.segmenter, model.encoded
    vocabulary = encoded.vocabulary
    image = read_image(
        job.image, request.most_pixels, "make it smaller, or raise --max-image-pixels"
    )
    batch = Batch((image,), vocabulary.thresholds(request.threshold))
    with contextlib.redirect_stdout(sys.stderr), recovering(segmenter):
        [segmentation] = segmenter.segment(batch, encoded)
    label = segmentation.label
    if job.overlay:
        objects = extract_objects(segmentation, Settings.min_area, Settings.max_objects)
        write_png(job.overlay, draw_overlay(image, label, objects, vocabulary))
    if job.label:
        write_png(job.label, label)
    height, width = label.shape
    return (width, height), measure(segmentation, vocabulary)


def measure(segmentation: Segmentation, vocabulary: Vocabulary) -> list[Row]:
    """Return area and mean confidence of each class, in the order of the vocabulary."""
    label = segmentation.label.ravel()
    length = max(vocabulary.ids, default=0) + 1
    areas = np.bincount(label, minlength=length)
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
        )
        for class_id, name in zip(vocabulary.ids, vocabulary.names, strict=True)
    ]


def table(rows: Sequence[Row]) -> str:
    """Format the rows as text, in columns."""
    names = [shown(row.name) for row in rows]
    name_width = max(len(name) for name in names)
    lines = [f"{'id':>5}  {'name':<{name_width}}  {'area px':>9}  {'area %':>6}  confidence"]
    for row, name in zip(rows, names, strict=True):
        confidence = "-" if row.confidence is None else f"{row.confidence:.2f}"
        lines.append(
            f"{row.id:>5}  {name:<{name_width}}  {row.area:>9}  {row.area_percent:>6.2f}"
            f"  {confidence:>10}"
        )
    return "\n".join(lines)
