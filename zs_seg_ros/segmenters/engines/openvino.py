# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""OpenVINO as a provider of ONNX Runtime: the precision it computes in, and the files that it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from zs_seg_ros.segmenters.engines.parts import NetworkPart
from zs_seg_ros.segmenters.load_options import PROVIDERS
from zs_seg_ros.segmenters.shared.processor import this_processor

CALIBRATED = "int8_calibrated"
"""The precision in the name of a file in 8 bits whose ranges were calibrated, which OpenVINO computes in 8 bits."""


def computes(providers: Sequence[str]) -> bool:
    """Return whether OpenVINO is the first of ONNX Runtime's providers, by its names."""
    return bool(providers) and providers[0] == PROVIDERS["openvino"]


def computes_in_bf16(providers: Sequence[str]) -> bool:
    """Return whether these providers compute files in fp32 in bf16: OpenVINO does on a processor that multiplies it."""
    return computes(providers) and this_processor().multiplies_bf16


def file_precision(part: NetworkPart) -> str:
    """Return the precision of the file that OpenVINO computes a part in 8 bits from.

    It computes dynamically quantised products more slowly than those of fp32, so parts of several sizes, which are not
    calibrated, are those of fp32.
    """
    return CALIBRATED if part.has_one_size else "fp32"


def provider_options(threads: int, precision: str) -> Mapping[str, str]:
    """Return the options of the provider. precision: of `LoadOptions`, fp32, bf16 or int8.

    OpenVINO would choose the precision of products by the processor; here fp32 is fp32, and in int8 what has no 8 bits,
    such as attention, is in bf16 where the processor multiplies it.
    """
    in_bf16 = precision != "fp32" and this_processor().multiplies_bf16
    hint = {"INFERENCE_PRECISION_HINT": "bf16" if in_bf16 else "f32"}
    return {"num_of_threads": str(threads), "load_config": json.dumps({"CPU": hint})}
