# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Transfers between CPU and device: uploads that nothing waits for, and one download for a batch's results.

A download waits until the device has done everything that was submitted before it. One at the end of a batch leaves the
device busy until then; one for each image, or each number, would have it wait for the CPU as often.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from zs_seg_ros.types import Segmentation

_ALIGNMENT = 16
"""Bytes: each tensor begins at a multiple of it in what is downloaded, as numbers of any type must."""


@dataclass(frozen=True, eq=False)
class OnDevice:
    """A segmentation that is still on the device.

    parts: contiguous tensors of any type. finish: makes the segmentation of the same tensors on the CPU.
    """

    parts: tuple[Tensor, ...]
    finish: Callable[[Sequence[Tensor]], Segmentation]


Pending = Segmentation | OnDevice
"""What a batch yields for an image: on a CPU its segmentation, otherwise what must be downloaded for it."""


def finished(results: Sequence[Pending]) -> list[Segmentation]:
    """Download the results of a batch in one transfer and finish them, in order."""
    parts = [part for result in results if isinstance(result, OnDevice) for part in result.parts]
    on_cpu = iter(downloaded(parts))
    return [
        result.finish([next(on_cpu) for _ in result.parts])
        if isinstance(result, OnDevice)
        else result
        for result in results
    ]


def with_presence(result: Pending, presence: Mapping[int, float]) -> Pending:
    """Return the result of an image with the presence score of each class, by class id."""
    if isinstance(result, Segmentation):
        return replace(result, presence=presence)
    return OnDevice(result.parts, lambda parts: replace(result.finish(parts), presence=presence))


def downloaded(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return contiguous tensors on the CPU, after one transfer for all; those of a CPU are returned unchanged."""
    if all(tensor.device.type == "cpu" for tensor in tensors):
        return list(tensors)
    rows = [_as_bytes(tensor) for tensor in tensors]
    joined = torch.cat(rows).cpu() if len(rows) > 1 else rows[0].cpu()
    pieces = torch.split(joined, [len(row) for row in rows])
    return [
        piece[: tensor.numel() * tensor.element_size()].view(tensor.dtype).view(tensor.shape)
        for piece, tensor in zip(pieces, tensors, strict=True)
    ]


def uploaded(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the CPU on a device, without a wait for what the device does."""
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def _as_bytes(tensor: Tensor) -> Tensor:
    """Return the memory of a tensor as bytes (N,), filled up to a multiple of `_ALIGNMENT`."""
    row = tensor.flatten().view(torch.uint8)
    return functional.pad(row, (0, -len(row) % _ALIGNMENT))
