# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The choice of the device and of the precision that a model runs in."""

from __future__ import annotations

import torch

from zs_seg_ros.errors import DeviceError
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.shared.cpu_precision import CPU_PRECISIONS
from zs_seg_ros.segmenters.shared.processor import this_processor
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


def choose_precision(options: LoadOptions, device: torch.device, family: str = "") -> torch.dtype:
    """Choose the precision of a model.

    auto is on a GPU bf16 from compute capability 8, otherwise fp16; on a CPU bf16 where the processor multiplies bf16
    matrices and `CPU_PRECISIONS` says that the family gains from it, otherwise fp32.

    Raises DeviceError for an unknown precision.
    """
    if options.precision == "auto":
        if device.type == "cpu":
            return _PRECISIONS[_on_this_processor(family)]
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    if options.precision not in _PRECISIONS:
        raise DeviceError(
            f"the precision {quoted(options.precision)} is not one of auto, fp32, fp16, bf16"
        )
    return _PRECISIONS[options.precision]


def precision_name(dtype: torch.dtype) -> str:
    """Return the name of a precision, as in `LoadOptions`."""
    return next(name for name, known in _PRECISIONS.items() if known == dtype)


def _on_this_processor(family: str) -> str:
    fast = this_processor().multiplies_bf16 and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return CPU_PRECISIONS[family].precision if fast and family in CPU_PRECISIONS else "fp32"
