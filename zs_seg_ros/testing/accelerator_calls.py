# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The rules of the stand-in accelerator: what a call of torch does with tensors of two devices, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from zs_seg_ros.testing.accelerator_tensor import DEVICE, DeviceTensor, on_device, plain
from zs_seg_ros.testing.accelerator_transfers import Transfers

_TO_PYTHON = {
    *("item", "tolist", "__bool__", "__int__", "__float__", "__index__", "__complex__"),
    *("__contains__", "__format__", "is_nonzero", "equal", "allclose"),
}
_SIZE_OF_DATA = {
    *("nonzero", "argwhere", "masked_select", "unique", "unique_consecutive", "_unique_impl"),
    "bincount",
}
"""The size of the result depends on values, for which the CPU waits."""
_TAKE_NUMBERS = {
    *("arange", "linspace", "full", "new_full", "zeros", "ones", "view", "reshape", "expand"),
    *("repeat", "split", "narrow", "select", "roll", "pad", "interpolate"),
}
"""A tensor in place of a number, after the first argument, is read by the CPU."""
_MAKE_COPIES = {"tensor", "as_tensor", "asarray", "new_tensor"}
_TO_NUMPY = {"numpy", "__array__", "__dlpack__"}
_ATTRIBUTES: dict[str, Any] = {
    "device": DEVICE,
    "is_cuda": True,
    "is_cpu": False,
    "is_meta": False,
    "get_device": 0,
}


class MixedDevicesError(RuntimeError):
    """Tensors of the CPU and of the accelerator meet in one call."""


def call_on_device(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], transfers: Transfers
) -> Any:
    """Call a function of torch on the values, and put the result where a GPU would have it.

    Raises MixedDevicesError where a GPU would refuse tensors of two devices, and TypeError where memory of a GPU cannot
    be read by numpy.
    """
    name = _name_of(func)
    inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, DeviceTensor)]
    if inputs and name in _ATTRIBUTES and isinstance(args[0], DeviceTensor):
        return _ATTRIBUTES[name]
    if name == "pin_memory":
        return args[0]
    if name == "_has_compatible_shallow_copy_type" and inputs:
        return all(isinstance(tensor, DeviceTensor) for tensor in args)
    if name in ("to", "cuda", "cpu"):
        return _moved(func, name, args, kwargs, transfers)
    if name in _MAKE_COPIES:
        return _copied(func, args, kwargs, transfers)
    if name == "copy_":
        return _copied_into(args, kwargs, transfers)
    if name in ("__getitem__", "__setitem__"):
        args = (args[0], _index(args[1], args[0], name, args[2:], transfers), *args[2:])
        inputs = [leaf for leaf in args if isinstance(leaf, DeviceTensor)]
        if not inputs:
            return func(*args)
    elif inputs:
        _check_devices(name, inputs, (args, kwargs))
        _count_waits(name, args, kwargs, transfers)
    if not inputs:
        return _made(func, args, kwargs, transfers)
    if name in _TO_NUMPY:
        raise TypeError(f"can't convert {DEVICE} device type tensor to numpy; use Tensor.cpu()")
    if name == "__iter__":
        return iter([DeviceTensor(row, transfers) for row in inputs[0].value.unbind(0)])
    device = kwargs.get("device")
    if device is not None and not _is_device(device):  # as new_zeros(..., device="cpu") of a tensor
        return func(*plain(args), **plain(kwargs))
    if device is not None:
        kwargs = {**kwargs, "device": "cpu"}
    return on_device(func(*plain(args), **plain(kwargs)), transfers, inputs)


def _name_of(func: Callable[..., Any]) -> str:
    """Return the name of a function, or of the attribute that it reads or sets."""
    name = getattr(func, "__name__", "")
    return func.__self__.__name__ if name in ("__get__", "__set__") else name  # type: ignore[attr-defined]


def _is_device(device: Any) -> bool:
    if not isinstance(device, str | torch.device):
        return False
    return torch.device(device).type == DEVICE.type


def _for_cpu(argument: Any) -> Any:
    return "cpu" if _is_device(argument) else plain(argument)


def _size_of(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _made(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], transfers: Transfers
) -> Any:
    """Call a function without tensors of the device, which may make one there."""
    if not _is_device(kwargs.get("device")):
        return func(*args, **kwargs)
    return on_device(func(*args, **{**kwargs, "device": "cpu"}), transfers, [])


def _moved(
    func: Callable[..., Any],
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    transfers: Transfers,
) -> Any:
    """Convert a tensor, and upload or download it."""
    source, *rest = args
    was_there = isinstance(source, DeviceTensor)
    if name in ("cuda", "cpu"):
        value, there = plain(source), name == "cuda"
    else:
        there = was_there
        given = [*rest, *kwargs.values()]
        for target in given:
            if isinstance(target, str | torch.device):
                there = _is_device(target)
            elif isinstance(target, Tensor):
                there = isinstance(target, DeviceTensor)
        value = func(
            plain(source), *map(_for_cpu, rest), **{k: _for_cpu(v) for k, v in kwargs.items()}
        )
    if there == was_there:
        return on_device(value, transfers, [source]) if there else value
    transfers.add("upload" if there else "download", _size_of(value))
    with torch.inference_mode(torch.is_inference_mode_enabled()):
        copy = value.detach().clone()
    return DeviceTensor(copy, transfers) if there else copy


def _copied(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], transfers: Transfers
) -> Any:
    """Make a tensor of Python's numbers, of an array or of another tensor."""
    method = func.__name__ == "new_tensor"
    data = args[1] if method else args[0] if args else kwargs["data"]
    before = isinstance(data, DeviceTensor)
    if not before:
        for leaf in tree_leaves(data):
            if isinstance(leaf, DeviceTensor):
                transfers.add("synchronisation")
    device = kwargs.get("device")
    there = _is_device(device) if device is not None else isinstance(args[0], DeviceTensor)
    if device is not None and there:
        kwargs = {**kwargs, "device": "cpu"}
    value = func(*plain(args), **plain(kwargs))
    if there and not before:
        transfers.add("upload", _size_of(value))
    elif before and not there:
        transfers.add("download", _size_of(value))
    return on_device(value, transfers, [data] if before else []) if there else value


def _copied_into(args: tuple[Any, ...], kwargs: dict[str, Any], transfers: Transfers) -> Any:
    target, source = args[:2]
    there, was_there = isinstance(target, DeviceTensor), isinstance(source, DeviceTensor)
    if there != was_there:
        transfers.add("upload" if there else "download", _size_of(plain(source)))
    plain(target).copy_(plain(source), **kwargs)
    return target


def _index(
    index: Any, target: Any, name: str, assigned: tuple[Any, ...], transfers: Transfers
) -> Any:
    """Return an index with its values on the CPU, after counting what it costs."""
    there = isinstance(target, DeviceTensor)
    number = bool(assigned) and not (isinstance(assigned[0], Tensor) and assigned[0].dim() > 0)

    def read(part: Any) -> Any:
        if isinstance(part, slice):
            return slice(*(read(bound) for bound in (part.start, part.stop, part.step)))
        if isinstance(part, list | np.ndarray) and there:
            part = torch.as_tensor(part)  # which torch does on the CPU
        if not isinstance(part, Tensor):
            return part
        if isinstance(part, DeviceTensor) and not there and part.dim() > 0:
            raise MixedDevicesError(f"{name}: a tensor of the CPU is indexed by one of {DEVICE}")
        if there and not isinstance(part, DeviceTensor) and part.dim() > 0:
            transfers.add("upload", _size_of(part))
            transfers.add("synchronisation")
        elif isinstance(part, DeviceTensor):
            masks = part.dtype in (torch.bool, torch.uint8)
            if part.dim() == 0 or (masks and not (number and not isinstance(index, tuple))):
                transfers.add("synchronisation")
        return plain(part)

    if there and assigned and isinstance(assigned[0], Tensor):
        value = assigned[0]
        if value.dim() > 0 and not isinstance(value, DeviceTensor):
            transfers.add("upload", _size_of(value))
    return tuple(map(read, index)) if isinstance(index, tuple) else read(index)


def _check_devices(name: str, inputs: list[DeviceTensor], given: Any) -> None:
    """Raise MixedDevicesError where a tensor of the CPU with any dimension is among the arguments."""
    others = [
        tuple(leaf.shape)
        for leaf in tree_leaves(given)
        if isinstance(leaf, Tensor) and not isinstance(leaf, DeviceTensor) and leaf.dim() > 0
    ]
    if others:
        shapes = [tuple(tensor.value.shape) for tensor in inputs]
        raise MixedDevicesError(
            f"{name}: tensors of {shapes} are on {DEVICE} and of {others} on the CPU; move them to one device"
        )


def _count_waits(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], transfers: Transfers
) -> None:
    """Record a synchronisation where the CPU needs values of the device to go on."""
    rest = [x for x in tree_leaves((args[1:], kwargs)) if isinstance(x, DeviceTensor)]
    first_is_number = name in ("arange", "linspace", "full", "zeros", "ones")
    waits = (
        name in _TO_PYTHON
        or name in _SIZE_OF_DATA
        or (name == "where" and len(args) == 1)
        or (name == "repeat_interleave" and bool(rest) and kwargs.get("output_size") is None)
        or (name in _TAKE_NUMBERS and (bool(rest) or first_is_number))
    )
    if waits:
        transfers.add("synchronisation")


DeviceTensor.call = staticmethod(call_on_device)
