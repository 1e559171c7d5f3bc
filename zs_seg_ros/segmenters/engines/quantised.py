# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""8 bits: the matrix products of an exported part with weights in int8 and activations quantised as they come."""

from __future__ import annotations

import importlib
import logging
import tempfile
from pathlib import Path

_OPERATORS = ("MatMul", "Gemm")


def quantised(content: bytes, whole: bool) -> bytes:
    """Quantise the weights of a serialised ONNX model's matrix products, each output channel with a scale of its own.

    whole: whether weights have all 8 bits, otherwise 7: without VNNI a processor adds two products in 16 bits, where 8
    bits would overflow.
    """
    quantisation = importlib.import_module("onnxruntime.quantization")
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name) / "fp32.onnx", Path(name) / "int8.onnx"
        source.write_bytes(content)
        logging.disable(logging.WARNING)  # it recommends a preparation that changes nothing here
        try:
            quantisation.quantize_dynamic(
                source,
                target,
                op_types_to_quantize=list(_OPERATORS),
                per_channel=True,
                reduce_range=not whole,
                weight_type=quantisation.QuantType.QInt8,
            )
        finally:
            logging.disable(logging.NOTSET)
        return target.read_bytes()
