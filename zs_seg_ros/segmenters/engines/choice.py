# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The engine that a model is loaded with: torch, or ONNX Runtime for the parts that were exported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zs_seg_ros.errors import DeviceError, ModelError
from zs_seg_ros.segmenters.engines import openvino, runtime
from zs_seg_ros.segmenters.engines.exports import (
    BITS_KEY,
    CHECKPOINT_KEY,
    export_folder,
    export_path,
    fingerprint,
)
from zs_seg_ros.segmenters.engines.parts import Exportable, NetworkPart
from zs_seg_ros.segmenters.load_options import ENGINES, PROVIDERS, LoadOptions
from zs_seg_ros.segmenters.shared.processor import this_processor
from zs_seg_ros.shown import quoted, shown

_PRECISIONS = {"auto": ("int8", "fp32"), "int8": ("int8",), "fp32": ("fp32",), "bf16": ("bf16",)}
"""What a precision of the options stands for, the first that there are exports for."""


def construct(
    kind: Any, model: str, folder: Path, options: LoadOptions, of_pair: bool = False
) -> Any:
    """Construct the class of a family with the engine that the options name.

    of_pair: whether it is one of two models, of which the other one may have products in 8 bits where it has none.
    Raises ModelError when ONNX Runtime is requested and the family does not export, the package or the export is
    missing, or the export is of other weights or another size; DeviceError for an engine, a provider or a precision
    that there is not.
    """
    if options.engine not in ENGINES:
        raise DeviceError(f"the engine {quoted(options.engine)} is not one of {', '.join(ENGINES)}")
    folder_of_exports = export_folder(folder, options.export_folder)
    if options.engine == "torch" or (
        options.engine == "auto" and not _has_export(kind, folder_of_exports, options)
    ):
        return _with_torch(kind, model, folder, options)
    _check(kind, model, options)
    providers = runtime.provider_names(options.providers)
    _check_precision(options.precision, providers)
    # The network in float32, whatever torch would prefer: the parts around those of the engine stay torch's.
    loaded = kind(model, folder, replace(options, precision="fp32", compile=False))
    precision = _use(loaded, model, folder, folder_of_exports, options, providers, of_pair)
    loaded.precision = precision
    loaded.engine = f"onnxruntime ({', '.join(providers)})"
    return loaded


def _with_torch(kind: Any, model: str, folder: Path, options: LoadOptions) -> Any:
    if options.precision == "int8":
        raise DeviceError(
            "precision int8 is one of exported models; run zs-seg export --int8 and set engine to onnxruntime"
        )
    return kind(model, folder, options)


def _has_export(kind: Any, folder: Path, options: LoadOptions) -> bool:
    """Return whether engine auto is ONNX Runtime: on a CPU, where it is installed and the model was exported."""
    import torch

    on_cpu = options.device == "cpu" or (options.device == "auto" and not torch.cuda.is_available())
    has_precision = options.precision in _PRECISIONS and (
        options.precision != "bf16"
        or openvino.computes_in_bf16(runtime.full_names(options.providers))
    )
    possible = has_precision and not options.compile and on_cpu
    return (
        possible and is_exportable(kind) and runtime.is_installed() and any(folder.glob("*.onnx"))
    )


def is_exportable(kind: Any) -> bool:
    """Return whether models of the class of a family can be exported."""
    return isinstance(kind, type) and issubclass(kind, Exportable)


def _check(kind: Any, model: str, options: LoadOptions) -> None:
    """Raise ModelError or DeviceError unless a model can be loaded with ONNX Runtime."""
    if not is_exportable(kind):
        raise ModelError(
            f"{model} is of a family that does not export, so that only torch computes it; set engine to torch or auto"
        )
    if options.compile:
        raise ModelError("compile is an option of torch; set it to false, or engine to torch")
    runtime.runtime("engine onnxruntime")


def _check_precision(precision: str, providers: Sequence[str]) -> None:
    """Raise DeviceError unless these providers have a precision."""
    if precision == "bf16" and not openvino.computes_in_bf16(providers):
        raise DeviceError(
            "precision bf16 of engine onnxruntime needs openvino as the first provider and a processor with "
            "AVX512-BF16 or AMX; set another precision, or engine to torch"
        )
    if precision not in _PRECISIONS:
        raise DeviceError(
            f"the precision {quoted(precision)} is not one of engine onnxruntime: {', '.join(_PRECISIONS)}"
        )


def _use(
    loaded: Exportable,
    model: str,
    folder: Path,
    exports: Path,
    options: LoadOptions,
    providers: Sequence[str],
    of_pair: bool,
) -> str:
    """Let ONNX Runtime compute the parts of a model, and return their precision."""
    parts = loaded.network_parts()
    precision = _precision(parts, exports, options, providers, of_pair)
    if precision is None:
        has_int8 = any(part.matrix_products for part in parts)
        flag = _int8_flags(providers) if options.precision == "int8" and has_int8 else ""
        revision = f" --revision {options.revision}" if options.revision else ""
        output = f" -o {shown(exports, 300)}" if options.export_folder else ""
        raise ModelError(
            f"{model} has not been exported: {shown(exports, 300)} does not hold its parts; run: "
            f"zs-seg export {shown(model, 300)}{flag}{revision}{output}"
        )
    expected = fingerprint(model, folder)
    on_cpu_provider = providers[0] == PROVIDERS["cpu"]
    if on_cpu_provider or openvino.computes(providers):
        parts = [part for part in parts if part.keep is None or not part.keep(precision)]
    runs = []
    for part in parts:
        path = export_path(exports, part.name, _file_precision(part, precision, providers))
        session = runtime.open_session(path, part, providers, precision, model)
        metadata = runtime.metadata_of(session)
        if metadata.get(CHECKPOINT_KEY) != expected:
            raise ModelError(
                f"{shown(path, 300)} was exported from other weights than those of {shown(model, 300)} in "
                f"{shown(folder, 300)}; run: zs-seg export {shown(model, 300)}"
            )
        if metadata.get(BITS_KEY) == "8" and not this_processor().adds_8_bit_products_in_32:
            raise ModelError(
                f"{shown(path, 300)} was exported on a processor with VNNI, and its sums would overflow on this one, "
                f"which has none; run here: zs-seg export {shown(model, 300)}{_int8_flags(providers)}"
            )
        runtime.check_inputs(session, part, path, model)
        runs.append(runtime.run_function(session, part, model))
    for part, run in zip(parts, runs, strict=True):
        whole = None if on_cpu_provider else part.substitute_whole
        (whole or part.substitute)(run)
    return precision


def _int8_flags(providers: Sequence[str]) -> str:
    """Return the options of the command that exports what these providers compute in 8 bits."""
    if openvino.computes(providers):
        return " --int8 --calibrate --images FOLDER --classes NAME"
    return " --int8"


def _file_precision(part: NetworkPart, precision: str, providers: Sequence[str]) -> str:
    """Return the precision of the file that a part is computed from: in int8 convolutions have that of fp32."""
    if precision != "int8" or not part.matrix_products:
        return "fp32"
    return openvino.file_precision(part) if openvino.computes(providers) else "int8"


def _precision(
    parts: Sequence[NetworkPart],
    exports: Path,
    options: LoadOptions,
    providers: Sequence[str],
    of_pair: bool,
) -> str | None:
    """Return the first precision that there are exports of all parts for; None without one."""
    for precision in _PRECISIONS[options.precision]:
        files = [_file_precision(part, precision, providers) for part in parts]
        has_no_int8 = precision == "int8" and set(files) == {"fp32"}
        if has_no_int8 and not of_pair:
            continue
        paths = [export_path(exports, p.name, file) for p, file in zip(parts, files, strict=True)]
        if all(path.exists() for path in paths):
            return "fp32" if has_no_int8 else precision
    return None
