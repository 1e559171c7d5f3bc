# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg export`: writes a model as ONNX files, and prints how far each differs from torch."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from zs_seg_ros.cli.image_files import plan_jobs
from zs_seg_ros.errors import EvaluationError, ImageError
from zs_seg_ros.evaluation.pixel_scores import PixelScores
from zs_seg_ros.evaluation.truth import numbers_of_ids
from zs_seg_ros.images.image_files import read_image
from zs_seg_ros.segmenters.engines.export import Calibration, export_model
from zs_seg_ros.segmenters.engines.runtime import runtime
from zs_seg_ros.segmenters.load_options import PROVIDERS, LoadOptions
from zs_seg_ros.segmenters.loaded_model import load_model
from zs_seg_ros.segmenters.recovery import recovering
from zs_seg_ros.types import Batch, RgbImage
from zs_seg_ros.vocabulary.vocabulary import MAX_PIXELS, Vocabulary

MOST_CALIBRATION_IMAGES = 32
"""Each takes seconds, and ranges hardly change with more."""


@dataclass(frozen=True)
class ExportRequest:
    """The arguments of the command line.

    int8: whether to write 8 bits, too. calibrate: whether to write files with ranges calibrated on some of `images`,
    too. images: a folder, or one image, on which the labels of int8 are compared with those of fp32 for the classes of
    `vocabulary`; None: none.
    """

    model: str
    options: LoadOptions
    int8: bool = False
    calibrate: bool = False
    images: Path | None = None
    vocabulary: Vocabulary | None = None
    threshold: float = 0.5


@dataclass(frozen=True)
class Agreement:
    """Labels of int8 against those of fp32. mean_iou: 0 to 1, NaN where fp32 labels nothing; same: share of pixels."""

    images: int
    mean_iou: float
    same: float


def export_to_onnx(request: ExportRequest) -> int:
    """Export a model, print each file, and return the exit code. Raises ZeroShotSegmentationError."""
    if request.images is not None and not (request.int8 and request.vocabulary):
        raise EvaluationError(
            "--images compares the labels of int8 with those of fp32; give --int8 and --classes or --vocabulary with it"
        )
    if request.calibrate and request.images is None:
        raise EvaluationError(
            "--calibrate needs images like those that the model will see; give --int8, --images and --classes with it"
        )
    output = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for results; a library may print
        data = _calibration(request)
        for exported in export_model(request.model, request.options, request.int8, data):
            size_mb = exported.path.stat().st_size / 1e6
            print(
                f"{exported.path}: {exported.part} in {exported.precision}, {size_mb:.1f} MB; the largest difference "
                f"from torch is {exported.difference:.1e} of the largest value",
                file=output,
            )
        if request.images is not None and request.vocabulary is not None:
            providers = ("cpu", "openvino") if _uses_openvino(request) else ("cpu",)
            agreements = _agreements(request, request.images, request.vocabulary, providers)
            for provider, agreement in zip(providers, agreements, strict=True):
                name = "int8" if provider == "cpu" else f"int8 with {provider}"
                print(
                    f"{name} against fp32 on {agreement.images} images: mean IoU {agreement.mean_iou:.4f}, a loss of "
                    f"{1 - agreement.mean_iou:.4f}; {100 * agreement.same:.2f} % of the pixels have the same label",
                    file=output,
                )
    return 0


def _uses_openvino(request: ExportRequest) -> bool:
    """Return whether calibrated files were written that the installed onnxruntime can compute as they are meant."""
    available = runtime("an export").get_available_providers()
    return request.calibrate and PROVIDERS["openvino"] in available


def _calibration(request: ExportRequest) -> Calibration | None:
    """Return images of the folder, evenly chosen, and the classes that they are segmented with."""
    if not request.calibrate or request.images is None or request.vocabulary is None:
        return None
    paths = [job.image for job in plan_jobs([request.images], None, None)]
    step = -(-len(paths) // MOST_CALIBRATION_IMAGES)
    images = list(_read(paths[::step]))
    return Calibration(images, request.vocabulary, request.threshold)


def _agreements(
    request: ExportRequest, images: Path, vocabulary: Vocabulary, providers: Sequence[str]
) -> list[Agreement]:
    """Compare the labels of int8 by each provider with those of torch in fp32.

    Raises EvaluationError where no image can be read.
    """
    on_torch = replace(request.options, device="cpu", precision="fp32")
    int8 = replace(on_torch, precision="int8", engine="onnxruntime")
    variants = [on_torch, *(replace(int8, providers=(provider,)) for provider in providers)]
    loaded = [load_model(request.model, options, vocabulary) for options in variants]
    numbers = numbers_of_ids(vocabulary)
    scores, count = [PixelScores(len(vocabulary.ids)) for _ in providers], 0
    for image in _read([job.image for job in plan_jobs([images], None, None)]):
        batch = Batch((image,), vocabulary.thresholds(request.threshold))
        labels = []
        for each in loaded:
            with recovering(each.segmenter):
                labels += each.segmenter.segment(batch, each.encoded)
        expected, *results = labels
        for own, result in zip(scores, results, strict=True):
            own.add(numbers[expected.label], numbers[result.label], result.confidence)
        count += 1
    for each in loaded:
        each.segmenter.close()
    if not count:
        raise EvaluationError(f"no image in {images} can be read; give others with --images")
    return [
        Agreement(count, own.mean_iou, float(np.trace(own.confusion) / own.confusion.sum()))
        for own in scores
    ]


def _read(paths: Sequence[Path]) -> Iterator[RgbImage]:
    """Yield the images that can be read, and print a message for each of the others."""
    # disable=None: no bar where stderr is not a terminal
    for path in tqdm(paths, unit="image", disable=None):
        try:
            yield read_image(path, MAX_PIXELS, "make it smaller")
        except ImageError as error:
            tqdm.write(f"zs-seg: {error}", file=sys.stderr)
