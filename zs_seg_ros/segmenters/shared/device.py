"""The choice of the device and of the precision that a model runs in."""

from __future__ import annotations

import torch

from zs_seg_ros.errors import DeviceError
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.shown import quoted

_PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def choose_device(requested: str) -> torch.device:
    """Choose the device for auto (a GPU when there is one), cpu, cuda or cuda:N.

    Raises DeviceError when it does not exist.
    """
    if requested == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(requested)
    except RuntimeError as error:
        raise DeviceError(f"{quoted(requested)} is no device; use auto, cpu or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(
            f"the device {quoted(requested)} is not supported; use auto, cpu or cuda:N"
        )
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        index = device.index or 0
        if index >= count:
            raise DeviceError(
                f"the device {quoted(requested)} is not there: torch sees {count} GPUs; use auto or cpu, or install a "
                "torch build and a driver that see the GPU"
            )
        return torch.device("cuda", index)
    return torch.device("cpu")


def choose_precision(options: LoadOptions, device: torch.device) -> torch.dtype:
    """Choose the precision: auto is fp32 on a CPU, and on a GPU bf16 from compute capability 8, otherwise fp16.

    Raises DeviceError for an unknown precision.
    """
    if options.precision == "auto":
        if device.type == "cpu":
            return torch.float32
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    if options.precision not in _PRECISIONS:
        raise DeviceError(
            f"the precision {quoted(options.precision)} is not one of auto, fp32, fp16, bf16"
        )
    return _PRECISIONS[options.precision]
