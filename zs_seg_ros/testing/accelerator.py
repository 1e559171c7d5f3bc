# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A stand-in accelerator: the GPU branches of the code run with real numbers, on a machine without a GPU.

Within `stand_in_accelerator`, a model that is loaded with the device cuda keeps its values in `DeviceTensor`s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode

from zs_seg_ros.segmenters.shared.constants import forget_constants
from zs_seg_ros.testing.accelerator_calls import call_on_device
from zs_seg_ros.testing.accelerator_tensor import DEVICE
from zs_seg_ros.testing.accelerator_transfers import Transfer, Transfers


class Accelerator:
    """The stand-in, with everything that has crossed between it and the CPU since the last `reset`."""

    def __init__(self) -> None:
        self._transfers = Transfers()

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        """Return every upload, download and synchronisation, in order."""
        return tuple(self._transfers.all)

    def count(self, kind: str) -> int:
        """Count the transfers of one kind: upload, download or synchronisation."""
        return sum(transfer.kind == kind for transfer in self.transfers)

    def lines(self) -> str:
        """List the lines of code that caused transfers, one in a row, with their number and kind."""
        by_line = Counter((transfer.kind, transfer.line) for transfer in self.transfers)
        return "\n".join(f"{n} x {kind}: {line}" for (kind, line), n in sorted(by_line.items()))

    def reset(self) -> None:
        """Forget the transfers so far."""
        self._transfers.all.clear()

    def synchronize(self, device: object = None) -> None:
        """Count a wait for all submitted work, as torch.cuda.synchronize is one."""
        self._transfers.add("synchronisation")


class _Mode(TorchFunctionMode):
    """Passes every call of torch in this thread through the stand-in, so that the device cuda exists in it."""

    def __init__(self, transfers: Transfers) -> None:
        super().__init__()
        self._transfers = transfers

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return call_on_device(func, args, dict(kwargs or {}), self._transfers)


@contextmanager
def stand_in_accelerator() -> Iterator[Accelerator]:
    """Make cuda:0 the stand-in, in this thread and within the block.

    Tensors of it must not be used outside of such a block.
    """
    accelerator = Accelerator()
    with ExitStack() as stack:
        forget_constants()
        stack.callback(forget_constants)  # a real GPU must not get those of the stand-in
        for name, replacement in _cuda_functions(accelerator).items():
            stack.enter_context(patch.object(torch.cuda, name, replacement))
        stack.enter_context(patch.object(torch, "autocast", _autocast))
        stack.enter_context(_Mode(accelerator._transfers))
        yield accelerator


def _cuda_functions(accelerator: Accelerator) -> dict[str, Callable[..., Any]]:
    """Return what takes the place of torch.cuda's functions of the same names."""
    return {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "get_device_capability": lambda device=None: (8, 0),
        "is_bf16_supported": lambda *_: True,
        "synchronize": accelerator.synchronize,
        "empty_cache": lambda: None,
        "memory_allocated": lambda device=None: 0,
        "get_rng_state": lambda device=None: torch.empty(0),
        "set_rng_state": lambda state, device=None: None,
    }


_real_autocast = torch.autocast


def _autocast(device_type: str, *args: Any, **kwargs: Any) -> torch.autocast:
    """Cast on the CPU, which is where the stand-in computes."""
    of_values = "cpu" if device_type == DEVICE.type else device_type
    return _real_autocast(of_values, *args, **kwargs)
