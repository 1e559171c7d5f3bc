# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""8 bits with ranges that were calibrated on images, by NNCF: for OpenVINO, which computes such products in 8 bits."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from zs_seg_ros.errors import ModelError
from zs_seg_ros.optional_packages import install_command
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.boxes_then_masks.segmenter import BoxesThenMasks
from zs_seg_ros.segmenters.engines.parts import Exportable, NetworkPart, Run
from zs_seg_ros.shown import described, shown
from zs_seg_ros.types import Batch, RgbImage
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

Sample = Mapping[str, NDArray[np.float32]]
"""The inputs of one call of a part, by name."""


def calibration() -> Any:
    """Import NNCF, without what it would report about its use. Raises ModelError where it is not installed or fails."""
    try:
        with patch.dict(os.environ, {"NNCF_CI": "1"}):
            nncf = importlib.import_module("nncf")
    except Exception as error:
        reason = (
            "is not installed"
            if isinstance(error, ModuleNotFoundError)
            else f"cannot be imported ({described(error)})"
        )
        raise ModelError(
            f"--calibrate needs the package nncf, which {reason}; run: {install_command('nncf')}"
        ) from error
    nncf.set_log_level(logging.ERROR)
    return nncf


def record_inputs(
    segmenter: Segmenter[Any], images: Iterable[RgbImage], vocabulary: Vocabulary, threshold: float
) -> dict[str, list[Sample]]:
    """Segment images with torch, and return what each part of one size was called with, by the part's name."""
    samples: dict[str, list[Sample]] = {}
    for part in _parts(segmenter):
        if part.has_one_size:
            part.substitute(_recording(part, samples.setdefault(part.name, [])))
    encoded = segmenter.encode(vocabulary)
    for image in images:
        segmenter.segment(Batch((image,), vocabulary.thresholds(threshold)), encoded)
    return samples


def _parts(segmenter: Segmenter[Any]) -> list[NetworkPart]:
    halves: tuple[Any, ...] = (segmenter,)
    if isinstance(segmenter, BoxesThenMasks):
        halves = segmenter.detector, segmenter.box_segmenter
    return [
        part for half in halves if isinstance(half, Exportable) for part in half.network_parts()
    ]


def _recording(part: NetworkPart, samples: list[Sample]) -> Run:
    def run(*tensors: Tensor) -> tuple[Tensor, ...]:
        arrays = (tensor.float().cpu().numpy() for tensor in tensors)
        samples.append(dict(zip(part.inputs, arrays, strict=True)))
        return part.compute(*tensors)

    return run


def calibrated(
    graph: Any, samples: Sequence[Sample], whole: bool, part: NetworkPart, model: str
) -> bytes:
    """Quantise an ONNX model's matrix products, and return it serialised. graph: the loaded model.

    whole: whether weights have all 8 bits, as in `quantised`. Raises ModelError when NNCF fails or there is no sample.
    """
    nncf = calibration()
    if not samples:
        raise ModelError(
            f"no image led to a call of {part.name} of {shown(model, 300)}; give other images, or a lower --threshold"
        )
    fix = nncf.OverflowFix.DISABLE if whole else nncf.OverflowFix.ENABLE
    try:
        result = nncf.quantize(
            graph,
            nncf.Dataset(list(samples)),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(samples),
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=fix),
        )
    except Exception as error:  # it raises many types
        raise ModelError(
            f"nncf cannot calibrate {part.name} of {shown(model, 300)} ({described(error)}); leave --calibrate out"
        ) from error
    serialised: bytes = result.SerializeToString()
    return serialised
