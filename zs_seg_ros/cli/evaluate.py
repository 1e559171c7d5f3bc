"""`zs-seg evaluate`: compares models with ground truth, prints tables, and writes JSON and a page."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from zs_seg_ros.evaluation.bag_truth import BagTruth
from zs_seg_ros.evaluation.class_id_images import ClassIdImages
from zs_seg_ros.evaluation.coco_truth import CocoTruth
from zs_seg_ros.evaluation.evaluate import ModelUnderTest, evaluate
from zs_seg_ros.evaluation.golden_truth import GoldenTruth
from zs_seg_ros.evaluation.page import page
from zs_seg_ros.evaluation.report import as_values, text_report
from zs_seg_ros.evaluation.truth import Truth
from zs_seg_ros.files import write_output
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.recovery import recovering
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.vocabulary.vocabulary import Vocabulary


@dataclass(frozen=True)
class EvaluateRequest:
    """The arguments of the command line. vocabulary: None for the classes of the ground truth. limit: 0 for all."""

    truth: Path
    images: Path | None
    camera: str
    label_topic: str
    vocabulary: Vocabulary | None
    models: tuple[str, ...]
    options: LoadOptions
    threshold: float
    limit: int
    json: Path | None
    page: Path | None
    worst: int


def evaluate_models(request: EvaluateRequest) -> int:
    """Compare all models with the ground truth, and return the exit code. Raises ZeroShotSegmentationError."""
    truth = open_truth(request.truth, request.images, request.camera, request.label_topic)
    vocabulary = request.vocabulary or Vocabulary().changed_to(truth.classes)
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for results; a library may print
        models = [_model(name, request, vocabulary) for name in request.models]
    # disable=None: no bar where stderr is not a terminal
    total = min(len(truth), request.limit or len(truth))
    evaluations = evaluate(
        truth,
        models,
        request.limit,
        lambda frames: tqdm(frames, total=total, unit="image", disable=None),
    )
    for model in models:
        model.segmenter.close()
    print(text_report(evaluations))
    values: list[dict[str, Any]] = [as_values(evaluation) for evaluation in evaluations]
    if request.json is not None:
        write_output(request.json, (json.dumps(values, indent=1) + "\n").encode())
    if request.page is not None:
        title = f"Evaluation on {request.truth.name}"
        write_output(request.page, page(evaluations, title).encode())
    return 0


def open_truth(truth: Path, images: Path | None, camera: str, label_topic: str) -> Truth:
    """Open ground truth by the kind of file that it is. Raises ZeroShotSegmentationError."""
    kind = truth.suffix.lower()
    if kind in (".yaml", ".yml"):
        return ClassIdImages(truth)
    if kind == ".json":
        return CocoTruth(truth, images or truth.parent)
    if kind == ".golden":
        return GoldenTruth(truth, images or truth.parent)
    return BagTruth(truth, camera, label_topic)


def _model(name: str, request: EvaluateRequest, vocabulary: Vocabulary) -> ModelUnderTest:
    segmenter = load_segmenter(name, request.options)
    with recovering(segmenter):
        encoded = segmenter.encode(vocabulary)
    for warning in (segmenter.caution, *encoded.all_warnings):
        if warning:
            print(f"warning: {warning}", file=sys.stderr)
    return ModelUnderTest(
        segmenter, encoded, request.threshold, request.worst if request.page is not None else 0
    )
