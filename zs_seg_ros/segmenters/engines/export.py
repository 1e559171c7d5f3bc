# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Export of the parts of a model as ONNX files, each compared with torch before it is written."""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zs_seg_ros.errors import ModelError
from zs_seg_ros.files import write_atomically
from zs_seg_ros.optional_packages import install_command
from zs_seg_ros.segmenters.engines import runtime
from zs_seg_ros.segmenters.engines.calibration import Sample, calibrated, calibration, record_inputs
from zs_seg_ros.segmenters.engines.choice import construct, is_exportable
from zs_seg_ros.segmenters.engines.exports import (
    BITS_KEY,
    CHECKPOINT_KEY,
    MOST_BYTES,
    PRECISION_KEY,
    PRODUCER,
    export_folder,
    export_path,
    fingerprint,
    is_export,
    make_folder,
)
from zs_seg_ros.segmenters.engines.openvino import CALIBRATED
from zs_seg_ros.segmenters.engines.parts import NetworkPart
from zs_seg_ros.segmenters.engines.quantised import quantised
from zs_seg_ros.segmenters.families import load_class
from zs_seg_ros.segmenters.load_options import PROVIDERS, LoadOptions
from zs_seg_ros.segmenters.registry import family_of, load_segmenter, parts_of
from zs_seg_ros.segmenters.shared.checkpoint import find_checkpoint
from zs_seg_ros.segmenters.shared.processor import this_processor
from zs_seg_ros.shown import described, shown
from zs_seg_ros.types import RgbImage
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

OPSET = 17
"""Of ONNX: the first with LayerNormalization, which TensorRT has from release 8.6 and OpenVINO from 2022.3."""
TOLERANCE = 1e-4
"""The largest difference of an output from torch's, in units of the largest absolute value of torch's."""
_COMPARED_SAMPLES = 3
_SIZES_OF_FREE_AXES = (1, 5)
"""How much larger than in the example the free axes are when a part is compared: also a size that was not traced."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """What ranges are calibrated with: images, and the classes and threshold that they are segmented with."""

    images: Sequence[RgbImage]
    vocabulary: Vocabulary
    threshold: float


@dataclass(frozen=True)
class Exported:
    """A written file: the part, its precision, and the largest difference from torch in units of torch's largest.

    precision: fp32, int8, or int8_calibrated.
    """

    path: Path
    part: str
    precision: str
    difference: float


def export_model(
    model: str, options: LoadOptions, int8: bool, calibration_data: Calibration | None = None
) -> Iterator[Exported]:
    """Export the parts of a model, or of both of a pair, and yield each after it was written.

    options: export_folder is where to write; the engine, the device and the precision are not used. int8: whether parts
    of matrix products are written in 8 bits, too. calibration_data: with int8, those of one size are also written in 8
    bits with calibrated ranges. Raises ModelError when no part can be exported, or none in 8 bits, a
    package is missing, or outputs differ from torch by more than `TOLERANCE`; FileError when a file cannot be written.
    """
    runtime.runtime("an export")
    _onnx()
    sizes = (options.inference_size, options.mask_inference_size)
    halves = []
    for (name, revision), size in zip(parts_of(model, options.revision), sizes, strict=False):
        folder = find_checkpoint(name, revision)
        kind = load_class(family_of(name, folder))
        own = replace(options, revision=revision, inference_size=size, device="cpu")
        halves.append((kind, name, folder, replace(own, precision="fp32", engine="torch")))
    exportable = [half for half in halves if is_exportable(half[0])]
    if not exportable:
        raise ModelError(
            f"{shown(model, 300)} is of a family that does not export; use engine torch. All families of this package "
            "do but Grounding DINO, MM Grounding DINO and LLMDet"
        )
    samples = _samples(model, options, calibration_data) if calibration_data else None
    for kind, name, folder, own in exportable:
        parts = construct(kind, name, folder, own).network_parts()
        has_int8 = any(part.matrix_products for part in parts)
        if int8 and not has_int8 and len(exportable) == 1:
            raise ModelError(
                f"{shown(name, 300)} consists of convolutions, which are not written in 8 bits; leave --int8 out"
            )
        yield from _export_parts(parts, name, folder, own, int8, samples)


def _samples(model: str, options: LoadOptions, data: Calibration) -> dict[str, list[Sample]]:
    """Return what each part is called with on the images."""
    calibration()  # raises before images are segmented
    on_torch = replace(options, device="cpu", precision="fp32", engine="torch")
    segmenter = load_segmenter(model, on_torch)
    samples = record_inputs(segmenter, data.images, data.vocabulary, data.threshold)
    segmenter.close()
    return samples


def _export_parts(
    parts: Sequence[NetworkPart],
    model: str,
    folder: Path,
    options: LoadOptions,
    int8: bool,
    samples: Mapping[str, Sequence[Sample]] | None,
) -> Iterator[Exported]:
    target = export_folder(folder, options.export_folder)
    checkpoint = fingerprint(model, folder)
    make_folder(target)
    for part in parts:
        content = _exported(part, model)
        difference = _difference(part, content, model)
        if not difference <= TOLERANCE:
            raise ModelError(
                f"the export of {part.name} of {shown(model, 300)} differs from torch by {difference:.1e} of its "
                f"largest value, more than {TOLERANCE:.0e}, and is not written; use engine torch"
            )
        metadata = {CHECKPOINT_KEY: checkpoint, PRECISION_KEY: "fp32"}
        yield _written(target, part, content, metadata, difference)
        if int8 and part.matrix_products:
            whole = this_processor().adds_8_bit_products_in_32
            small = quantised(content, whole)
            metadata |= {PRECISION_KEY: "int8", BITS_KEY: "8" if whole else "7"}
            yield _written(target, part, small, metadata, _difference(part, small, model))
            if samples is not None and part.has_one_size:
                graph = _onnx().load_from_string(content)
                small = calibrated(graph, samples[part.name], whole, part, model)
                metadata[PRECISION_KEY] = CALIBRATED
                difference = _difference(part, small, model, samples[part.name][:_COMPARED_SAMPLES])
                yield _written(target, part, small, metadata, difference)


def _onnx() -> Any:
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise ModelError(
            f"an export needs the package onnx, which is not installed; run: {install_command('onnx')}"
        ) from error


class _Part(nn.Module):
    """A part as a module whose parameters are the tensors that its function reads: the exporter stores those once."""

    def __init__(self, part: NetworkPart) -> None:
        super().__init__()
        self.weights = nn.ParameterList(
            w if isinstance(w, nn.Parameter) else nn.Parameter(w, requires_grad=False)
            for w in part.weights
        )
        self._compute = part.compute

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self._compute(*inputs)


def _logaddexp(graph: Any, first: Any, second: Any) -> Any:
    """Write torch.logaddexp, which ONNX lacks, as the larger one plus softplus(-|difference|), without overflow."""
    difference = graph.op("Abs", graph.op("Sub", first, second))
    rest = graph.op("Softplus", graph.op("Neg", difference))
    return graph.op("Add", graph.op("Max", first, second), rest)


def _exported(part: NetworkPart, model: str) -> bytes:
    """Export a part, and return the serialised ONNX model."""
    stream = io.BytesIO()
    try:
        # It prints the whole graph where it fails.
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            torch.no_grad(),
        ):
            # The exporter that follows torch's own graphs needs onnxscript; this one needs onnx alone.
            warnings.simplefilter("ignore")
            torch.onnx.register_custom_op_symbolic(  # type: ignore[attr-defined]
                "aten::logaddexp", _logaddexp, OPSET
            )
            torch.onnx.export(
                _Part(part),
                tuple(part.inputs.values()),
                stream,  # type: ignore[arg-type]
                input_names=list(part.inputs),
                output_names=list(part.outputs),
                dynamic_axes={name: dict(axes) for name, axes in part.free.items()},
                opset_version=OPSET,
                dynamo=False,
            )
    except Exception as error:  # the exporter raises many types
        raise ModelError(
            f"{part.name} of {shown(model, 300)} cannot be exported ({described(error)}); use engine torch"
        ) from error
    content = stream.getvalue()
    if len(content) > MOST_BYTES:
        raise ModelError(
            f"{part.name} of {shown(model, 300)} has {len(content)} bytes, and an ONNX file at most {MOST_BYTES}; use "
            "a smaller model, or engine torch"
        )
    return content


def _difference(
    part: NetworkPart, content: bytes, model: str, samples: Sequence[Sample] = ()
) -> float:
    """Return the largest difference of an export from torch, in units of the largest absolute value of torch's.

    samples: the inputs that are compared with; empty for random ones.
    """
    try:
        session = runtime.session_of(content, part, [PROVIDERS["cpu"]])
    except Exception as error:  # onnxruntime raises types of its own
        raise ModelError(
            f"onnxruntime cannot load the export of {part.name} of {shown(model, 300)} ({described(error)}), which is "
            "not written; use engine torch"
        ) from error
    run = runtime.run_function(session, part, model)
    all_inputs = _inputs_of(part, samples) if samples else _random_inputs(part)
    return max(_differences(part, run, all_inputs))


def _inputs_of(part: NetworkPart, samples: Sequence[Sample]) -> Iterator[list[Tensor]]:
    for sample in samples:
        yield [torch.from_numpy(sample[name]) for name in part.inputs]


def _random_inputs(part: NetworkPart) -> Iterator[list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    for larger in _SIZES_OF_FREE_AXES if part.free else (0,):
        yield [
            torch.randn(_larger(part, name, larger), generator=generator).to(example.device)
            for name, example in part.inputs.items()
        ]


def _differences(
    part: NetworkPart, run: Any, all_inputs: Iterator[list[Tensor]]
) -> Iterator[float]:
    for inputs in all_inputs:
        with torch.inference_mode():
            expected, outputs = part.compute(*inputs), run(*inputs)
        for reference, output in zip(expected, outputs, strict=True):
            if reference.shape != output.shape:
                yield float("inf")
            largest = reference.abs().max().clamp_min(1e-6)
            yield float((output - reference).abs().max() / largest)


def _larger(part: NetworkPart, name: str, factor: int) -> list[int]:
    free = part.free.get(name, {})
    shape = part.inputs[name].shape
    return [size * factor if axis in free else size for axis, size in enumerate(shape)]


def _written(
    folder: Path,
    part: NetworkPart,
    content: bytes,
    metadata: Mapping[str, str],
    difference: float,
) -> Exported:
    """Write an export with its metadata. Only a file that this package exported is replaced."""
    onnx = _onnx()
    graph = onnx.load_from_string(content)
    graph.producer_name = PRODUCER
    onnx.helper.set_model_props(graph, dict(metadata))
    precision = metadata[PRECISION_KEY]
    path = export_path(folder, part.name, precision)
    write_atomically(path, graph.SerializeToString(), is_export)
    return Exported(path, part.name, precision, difference)
