# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

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
from zs_seg_ros.evaluation.coco_truth import CocoTruth, coco_tools
from zs_seg_ros.evaluation.evaluate import ModelUnderTest, evaluate
from zs_seg_ros.evaluation.golden_truth import GoldenTruth
from zs_seg_ros.evaluation.page import page
from zs_seg_ros.evaluation.report import as_values, text_report
from zs_seg_ros.evaluation.truth import Truth
from zs_seg_ros.files import write_output
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.loaded_model import load_model
from zs_seg_ros.vocabulary.vocabulary import Vocabulary


@dataclass(frozen=True)
class TruthSource:
    """Ground truth as the command line names it.

    images: None for the folder of `path`. camera, label_topic: empty for the only one.
    """

    path: Path
    images: Path | None
    camera: str
    label_topic: str

    def open(self) -> Truth:
        """Open the ground truth by the kind of file that it is. Raises ZeroShotSegmentationError."""
        kind, images = self.path.suffix.lower(), self.images or self.path.parent
        if kind in (".yaml", ".yml"):
            return ClassIdImages(self.path)
        if kind == ".json":
            return CocoTruth(self.path, images)
        if kind == ".golden":
            return GoldenTruth(self.path, images)
        return BagTruth(self.path, self.camera, self.label_topic)


@dataclass(frozen=True)
class EvaluateRequest:
    """The arguments of the command line. vocabulary: None for the classes of the ground truth. limit: 0 for all."""

    truth: TruthSource
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
    truth = request.truth.open()
    if truth.separates_objects:
        coco_tools("mask")  # where it is missing, that is said before the models are loaded
    vocabulary = request.vocabulary or Vocabulary().changed_to(truth.classes)
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for results; a library may print
        loaded = [load_model(name, request.options, vocabulary) for name in request.models]
    for warning in (warning for each in loaded for warning in each.warnings):
        print(f"warning: {warning}", file=sys.stderr)
    worst = request.worst if request.page is not None else 0
    models = [ModelUnderTest(each, request.threshold, truth, worst) for each in loaded]
    # disable=None: no bar where stderr is not a terminal
    total = min(len(truth), request.limit or len(truth))
    evaluations = evaluate(
        truth,
        models,
        request.limit,
        lambda frames: tqdm(frames, total=total, unit="image", disable=None),
    )
    for each in loaded:
        each.segmenter.close()
    print(text_report(evaluations))
    values: list[dict[str, Any]] = [as_values(evaluation) for evaluation in evaluations]
    if request.json is not None:
        write_output(request.json, (json.dumps(values, indent=1) + "\n").encode())
    if request.page is not None:
        title = f"Evaluation on {request.truth.path.name}"
        write_output(request.page, page(evaluations, title).encode())
    return 0
