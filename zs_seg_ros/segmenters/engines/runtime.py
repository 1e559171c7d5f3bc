# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""ONNX Runtime: its providers, and sessions that compute exported parts."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zs_seg_ros.errors import DeviceError, FileError, ModelError
from zs_seg_ros.files import read_regular_file
from zs_seg_ros.optional_packages import install_command
from zs_seg_ros.segmenters.engines import openvino
from zs_seg_ros.segmenters.engines.exports import MOST_BYTES
from zs_seg_ros.segmenters.engines.parts import NetworkPart, Run
from zs_seg_ros.segmenters.load_options import PROVIDERS
from zs_seg_ros.shown import described, quoted, shown

_OUT_OF_MEMORY = ("Failed to allocate memory", "bad_alloc", "out of memory")


def is_installed() -> bool:
    """Return whether the package onnxruntime is there."""
    return importlib.util.find_spec("onnxruntime") is not None


def runtime(purpose: str) -> Any:
    """Import onnxruntime. purpose: what needs it. Raises ModelError where it is not installed or fails."""
    try:
        return importlib.import_module("onnxruntime")
    except Exception as error:  # a wheel for another processor or Python may raise anything
        reason = (
            "is not installed"
            if isinstance(error, ModuleNotFoundError)
            else f"cannot be imported ({described(error)})"
        )
        raise ModelError(
            f"{purpose} needs the package onnxruntime, which {reason}; run: {install_command('onnxruntime')}"
        ) from error


def full_names(requested: Sequence[str]) -> list[str]:
    """Return ONNX Runtime's names of providers, of its own names or short ones; that of the CPU where there is none."""
    return [PROVIDERS.get(name.lower(), name) for name in requested] or [PROVIDERS["cpu"]]


def provider_names(requested: Sequence[str]) -> list[str]:
    """Return what `full_names` does. Raises DeviceError for a provider that the installed onnxruntime does not have."""
    available = runtime("engine onnxruntime").get_available_providers()
    names = full_names(requested)
    for name, wish in zip(names, requested or ["cpu"], strict=True):
        if name not in available:
            own = {provider: short for short, provider in PROVIDERS.items()}
            there = ", ".join(own.get(provider, provider) for provider in available)
            raise DeviceError(
                f"the installed onnxruntime has no provider {quoted(wish, 100)}, only {shown(there, 300)}; choose from "
                "these, or install the build of onnxruntime that has it: onnxruntime-gpu, onnxruntime-openvino, or "
                "NVIDIA's wheel for Jetson"
            )
    return names


def open_session(
    path: Path, part: NetworkPart, providers: Sequence[str], precision: str, model: str
) -> Any:
    """Load the ONNX file of a part into a session. Raises ModelError when it is damaged or cannot be read."""
    try:
        content = read_regular_file(path, MOST_BYTES)
        return session_of(content, part, providers, precision)
    except FileNotFoundError as error:
        raise ModelError(
            f"the export {shown(path, 300)} is missing; run: zs-seg export {shown(model, 300)}"
        ) from error
    except FileError as error:
        raise ModelError(f"the export of {shown(model, 300)} cannot be used: {error}") from error
    except ModelError:
        raise
    except Exception as error:  # onnxruntime raises types of its own for damaged files
        raise ModelError(
            f"the export {shown(path, 300)} cannot be loaded ({described(error)}); run: "
            f"zs-seg export {shown(model, 300)}"
        ) from error


def session_of(
    content: bytes, part: NetworkPart, providers: Sequence[str], precision: str = "fp32"
) -> Any:
    """Load the serialised ONNX model of a part into a session, of as many cores as torch uses or the caller's."""
    module = runtime("engine onnxruntime")
    options = module.SessionOptions()
    threads = torch.get_num_threads()
    options.intra_op_num_threads = 1 if part.on_callers_core else threads
    # Threads that wait in a loop take the cores from the rest of a frame's work, and from a robot's other programs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors: warnings name optimisations that a provider leaves out
    entries = [
        (name, openvino.provider_options(threads, precision) if openvino.computes([name]) else {})
        for name in providers
    ]
    return module.InferenceSession(content, options, providers=entries)


def metadata_of(session: Any) -> Mapping[str, str]:
    """Return the metadata of the file that a session was loaded from."""
    metadata: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
    return metadata


def check_inputs(session: Any, part: NetworkPart, path: Path, model: str) -> None:
    """Raise ModelError unless the inputs and outputs of a session are those of the part, at its size."""
    shapes = {
        each.name: tuple(size if isinstance(size, int) else None for size in each.shape)
        for each in session.get_inputs()
    }
    expected = {name: part.fixed_shape(name) for name in part.inputs}
    outputs = tuple(each.name for each in session.get_outputs())
    if shapes.keys() != expected.keys() or outputs != part.outputs:
        raise ModelError(
            f"{shown(path, 300)} was exported by another version of this package; run: "
            f"zs-seg export {shown(model, 300)}"
        )
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise ModelError(
                f"{shown(path, 300)} was exported for {name} of {_size(shapes[name])} and {_size(shape)} is needed; "
                f"run zs-seg export {shown(model, 300)} with the --input-size that is used here, or "
                "use that of the export"
            )


def _size(shape: tuple[int | None, ...]) -> str:
    return "x".join("any" if size is None else str(size) for size in shape)


def run_function(session: Any, part: NetworkPart, model: str) -> Run:
    """Return a function that computes a part with a session.

    The function raises ModelError when the session fails, and MemoryError when memory ran out.
    """
    names = list(part.inputs)
    outputs = list(part.outputs)

    def run(*tensors: Tensor) -> tuple[Tensor, ...]:
        arrays = [np.ascontiguousarray(tensor.float().cpu().numpy()) for tensor in tensors]
        try:
            results = session.run(outputs, dict(zip(names, arrays, strict=True)))
        except Exception as error:
            if any(sign in shown(error, 2000) for sign in _OUT_OF_MEMORY):
                raise MemoryError from error
            raise ModelError(
                f"onnxruntime cannot compute {part.name} of {shown(model, 300)} ({described(error)})"
            ) from error
        device = tensors[0].device
        return tuple(torch.from_numpy(result).to(device) for result in results)

    return run
