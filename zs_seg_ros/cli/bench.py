# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg bench`: time and memory of a frame over the number of classes, compared with transformers' pipeline.

With several input sizes or precisions it compares these with each other instead.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from zs_seg_ros.cli.bench_measure import (
    CHANGED_CLASSES,
    COLOURS,
    NEW,
    OBJECTS,
    Row,
    Variant,
    measure,
    measure_change,
    threshold_of_ten_objects,
)
from zs_seg_ros.cli.bench_output import check_plot, plot, print_comparison, print_table
from zs_seg_ros.errors import ModelError, ZeroShotSegmentationError
from zs_seg_ros.files import write_output
from zs_seg_ros.segmenters.engines.export import Calibration, export_model
from zs_seg_ros.segmenters.engines.openvino import computes, computes_in_bf16
from zs_seg_ros.segmenters.engines.runtime import full_names
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared.checkpoint import find_checkpoint
from zs_seg_ros.segmenters.shared.processor import this_processor
from zs_seg_ros.testing.reference_steps import Reference
from zs_seg_ros.testing.references import load_reference
from zs_seg_ros.types import RgbImage
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary


@dataclass(frozen=True)
class BenchRequest:
    """The arguments of the command line.

    counts: numbers of classes. size: (width, height) of the image. input_sizes: the sizes for `LoadOptions`, of a model
    and of the mask model of a pair. precisions, engines: names for `LoadOptions`. plot, json: where to write.
    """

    model: str
    options: LoadOptions
    counts: tuple[int, ...]
    size: tuple[int, int]
    repeats: int
    threshold: float
    with_reference: bool
    json: Path | None
    plot: Path | None
    input_sizes: tuple[tuple[int, int], ...] = ((0, 0),)
    precisions: tuple[str, ...] = ("auto",)
    engines: tuple[str, ...] = ("torch",)

    @property
    def compares(self) -> bool:
        """Return whether several input sizes, engines or precisions are measured."""
        return len(self.input_sizes) * len(self.engines) * len(self.precisions) > 1


def measure_model(request: BenchRequest) -> int:
    """Measure a model, print the table, write the requested files, and return the exit code."""
    return _bench(request, request.model, random=False)


def measure_random_model(request: BenchRequest) -> int:
    """Measure the published shape of a kind of model with random weights: the cost hardly depends on them.

    The threshold is set so that about ten instances are detected. Return the exit code.
    """
    from zs_seg_ros.testing.published import write_published

    with tempfile.TemporaryDirectory() as folder:
        model = write_published(request.model, Path(folder), (NEW, *COLOURS, *OBJECTS))
        title = f"{request.model} with random weights"
        if set(request.engines) - {"torch"}:
            int8 = bool({"int8", "auto"} & set(request.precisions))
            data = _calibration(request) if int8 else None
            for size, mask_size in request.input_sizes[:1]:
                options = replace(
                    request.options, inference_size=size, mask_inference_size=mask_size
                )
                list(export_model(model, options, int8, data))
        return _bench(replace(request, model=model), title, random=True)


def _calibration(request: BenchRequest) -> Calibration | None:
    """Return what OpenVINO's files are calibrated on, if it is a provider: the image that is measured, of noise."""
    if not computes(full_names(request.options.providers)):
        return None
    classes = Vocabulary().changed_to([TargetClass(name) for name in COLOURS])
    return Calibration([_noise(request)], classes, 0.0)


def _noise(request: BenchRequest) -> RgbImage:
    width, height = request.size
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def _bench(request: BenchRequest, title: str, random: bool) -> int:
    if request.plot:
        check_plot()
    image = _noise(request)
    print(f"processor: {this_processor().description}")
    if request.compares:
        figures = _compare(request, title, image, random)
    else:
        figures = _measure_one(request, title, image, random)
    if request.json:
        write_output(request.json, (json.dumps(figures, indent=1) + "\n").encode())
    return 0


def _measure_one(
    request: BenchRequest, title: str, image: RgbImage, random: bool
) -> dict[str, Any]:
    """Measure one model, next to its reference if requested. Return the figures."""
    [variant] = _load(request, request.input_sizes[0])
    segmenter = variant.segmenter
    reference = _reference(request, variant) if request.with_reference else None
    threshold = request.threshold
    if random:
        threshold = threshold_of_ten_objects(segmenter, image, request.counts)
    rows = measure([variant], reference, image, request.counts, request.repeats, threshold)
    weights_mb = _weights_mb(request.model)
    print_table(rows, title, segmenter, request.size, request.repeats, weights_mb)
    changes = measure_change(segmenter)
    frame_ms = statistics.median(row.total_ms for row in rows)
    print(
        f"a vocabulary of {CHANGED_CLASSES} classes comes into force in {changes[0]:.0f} ms, the time of "
        f"{changes[0] / frame_ms:.1f} frames; when repeated, in {changes[1]:.0f} ms"
    )
    if request.plot:
        plot(rows, [str(row.classes) for row in rows], "classes", title, request.plot)
    return _figures(request, title, segmenter.device, rows, weights_mb) | {
        "change_ms": changes[0],
        "repeated_change_ms": changes[1],
    }


def _compare(request: BenchRequest, title: str, image: RgbImage, random: bool) -> dict[str, Any]:
    """Measure input sizes one after the other and, alternating, engines and precisions of each. Return the figures."""
    rows: list[Row] = []
    device, threshold = "", request.threshold
    for input_size in request.input_sizes:
        variants = _load(request, input_size)
        device = variants[0].segmenter.device
        if random:
            threshold = threshold_of_ten_objects(variants[0].segmenter, image, request.counts)
        rows += measure(variants, None, image, request.counts, request.repeats, threshold)
        for variant in variants:
            variant.segmenter.close()
    weights_mb = _weights_mb(request.model)
    print_comparison(rows, title, device, request.size, request.repeats, weights_mb)
    if request.plot:
        names = [f"{row.input_size}\n{row.precision}\n{row.classes} classes" for row in rows]
        plot(rows, names, "input size", title, request.plot)
    return _figures(request, title, device, rows, weights_mb)


def _load(request: BenchRequest, input_size: tuple[int, int]) -> list[Variant]:
    """Load the model once for each engine and each of its precisions."""
    size, mask_size = input_size
    names = [str(side) if side else "own" for side in input_size]
    name = "+".join(names) if mask_size else names[0]
    variants = []
    pairs = [(e, p) for e in request.engines for p in request.precisions]
    possible = [(e, p) for e, p in pairs if p not in _impossible(e, request.options)]
    for engine, precision in possible or pairs:
        options = replace(
            request.options,
            engine=engine,
            precision=precision,
            inference_size=size,
            mask_inference_size=mask_size,
        )
        variants.append(Variant(load_segmenter(request.model, options), name))
    return variants


def _impossible(engine: str, options: LoadOptions) -> tuple[str, ...]:
    """Return the precisions that an engine does not have, and that are left out where several are compared."""
    if engine == "torch":
        return ("int8",)
    in_bf16 = engine == "onnxruntime" and computes_in_bf16(full_names(options.providers))
    return () if engine == "auto" else ("fp16",) if in_bf16 else ("fp16", "bf16")


def _figures(
    request: BenchRequest, title: str, device: str, rows: Sequence[Row], weights_mb: float
) -> dict[str, Any]:
    return {
        "model": title,
        "device": device,
        "processor": this_processor().description,
        "size": request.size,
        "weights_mb": weights_mb,
        "rows": [asdict(row) | {"times_faster": row.times_faster} for row in rows],
    }


def _weights_mb(model: str) -> float:
    """Return the size on disk of a model's weights, or of a pair's."""
    folders = [find_checkpoint(part) for part in model.split(" + ")]
    files = [file for folder in folders for file in folder.glob("*.safetensors")]
    return sum(file.stat().st_size for file in files) / 1e6


def _reference(request: BenchRequest, variant: Variant) -> Reference | None:
    """Load the reference in the model's precision; None, with a message, without one to compare with."""
    try:
        if request.input_sizes[0] != (0, 0):
            raise ModelError("transformers' pipeline has the checkpoint's own input size")
        [precision, *_] = variant.segmenter.precision.split(" + ")
        return load_reference(request.model, replace(request.options, precision=precision))
    except ZeroShotSegmentationError as error:
        print(f"without a reference: {error}", file=sys.stderr)
        return None
