# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Peak memory of a function call, on the CPU (Linux) or a CUDA device."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_CLEAR_PEAK = "5"  # Linux, Documentation/filesystems/proc.rst


def peak_memory_mb(work: Callable[[], object], device: str) -> float:
    """Run `work`; return its peak memory in MB above what was in use before, on `device`."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        return float(torch.cuda.max_memory_allocated() - before) / 1e6
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # return free memory of the allocator (glibc) to the system
    _CLEAR.write_text(_CLEAR_PEAK)
    before_kib = _kib("VmRSS")
    work()
    return max(0, _kib("VmHWM") - before_kib) * 1024 / 1e6


def _kib(name: str) -> int:
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
