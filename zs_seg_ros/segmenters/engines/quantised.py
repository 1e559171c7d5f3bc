"""8 bits: the matrix products of an exported part with weights in int8 and activations quantised as they come."""

from __future__ import annotations

import importlib
import logging
import tempfile
from pathlib import Path

_OPERATORS = ("MatMul", "Gemm")


def quantised(content: bytes) -> bytes:
    """Quantise the weights of a serialised ONNX model's matrix products, each output channel with a scale of its own.

    Weights have 7 of 8 bits: without VNNI a processor adds two products in 16 bits, where 8 bits would overflow.
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
                reduce_range=True,
                weight_type=quantisation.QuantType.QInt8,
            )
        finally:
            logging.disable(logging.NOTSET)
        return target.read_bytes()
