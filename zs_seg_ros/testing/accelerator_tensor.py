# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The tensors of the stand-in accelerator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from zs_seg_ros.testing.accelerator_transfers import Transfers

DEVICE = torch.device("cuda", 0)
"""The device that the stand-in takes the place of: code then takes the branches that it takes on a GPU."""


class DeviceTensor(torch.Tensor):
    """A tensor that says that it is on `DEVICE`. value: what it holds, on the CPU.

    Every call with one, and every attribute, passes through `__torch_function__`, so that the size and the type of the
    wrapper itself have no meaning. call: does a call by the rules of the stand-in, which `accelerator_calls` sets.
    """

    call: ClassVar[Callable[..., Any]]

    value: Tensor
    transfers: Transfers

    @staticmethod
    def __new__(cls, value: Tensor, transfers: Transfers) -> DeviceTensor:
        with torch._C.DisableTorchFunction():
            made: DeviceTensor = torch.Tensor._make_wrapper_subclass(
                cls, value.shape, dtype=value.dtype, device=torch.device("meta")
            )
        made.value = value
        made.transfers = transfers
        return made

    def __init__(self, value: Tensor, transfers: Transfers) -> None:
        pass

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch as a GPU would, also in threads without the stand-in's mode."""
        given = dict(kwargs or {})
        first = next(leaf for leaf in tree_leaves((args, given)) if isinstance(leaf, DeviceTensor))
        return cls.call(func, args, given, first.transfers)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Refuse what does not pass through `__torch_function__`: it would not be counted."""
        raise NotImplementedError(f"{func} reached a tensor of the stand-in accelerator directly")


def plain(tree: Any) -> Any:
    """Replace tensors of the stand-in by the values that they hold, in nested containers."""
    return tree_map(lambda leaf: leaf.value if isinstance(leaf, DeviceTensor) else leaf, tree)


def on_device(tree: Any, transfers: Transfers, inputs: list[DeviceTensor]) -> Any:
    """Put tensors in nested containers on the device. inputs: kept where a result is one of them, as in-place ones."""
    by_value = {id(tensor.value): tensor for tensor in inputs}

    def put(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or isinstance(leaf, DeviceTensor):
            return leaf
        known = by_value.get(id(leaf))
        return DeviceTensor(leaf, transfers) if known is None else known

    return tree_map(put, tree)
