# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The parts of a network that can be exported, and computed by another engine than torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

Run = Callable[..., tuple[Tensor, ...]]
"""A function of tensors, on the device of the model and in float32, to tensors on that device and in float32."""


@dataclass(frozen=True, eq=False)
class NetworkPart:
    """A function of a network that another engine can compute.

    name: of its file, with the family in front. compute: the function itself, with torch. weights: the tensors that it
    reads. inputs: an example of each input, by its name and in order. outputs: their names. free: the axes of a tensor
    that can have any size, each with a name. substitute: takes the function that is called instead of `compute` from
    now on. matrix_products: whether they take most of its time, so that it is worth writing in 8 bits, too.
    on_callers_core: whether ONNX Runtime's own provider for CPUs computes it with the thread that calls it alone, since
    several threads call it. substitute_whole: where given, takes the function of other providers in place of
    `substitute`: it is called with much at a time and by one thread. keep: where given, is asked to compute the part
    without an engine in a precision of `LoadOptions`, faster than a provider does on this processor, and returns
    whether it does so from now on.
    """

    name: str
    compute: Run
    weights: Sequence[Tensor]
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    substitute: Callable[[Run], None]
    free: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    matrix_products: bool = False
    on_callers_core: bool = False
    substitute_whole: Callable[[Run], None] | None = None
    keep: Callable[[str], bool] | None = None

    @property
    def has_one_size(self) -> bool:
        """Return whether it consists of matrix products of one size, whose ranges can be calibrated."""
        return self.matrix_products and not self.free

    def fixed_shape(self, name: str) -> tuple[int | None, ...]:
        """Return the shape of an input, with None for each free axis."""
        free = self.free.get(name, {})
        shape = self.inputs[name].shape
        return tuple(None if axis in free else size for axis, size in enumerate(shape))


class Exportable(ABC):
    """A model of which other engines can compute parts, offered by some families beside their own interface."""

    @abstractmethod
    def network_parts(self) -> Sequence[NetworkPart]:
        """Return the parts, at the input size that the model was loaded with, and in float32."""


def image_encoder(
    name: str,
    compute: Run,
    network: nn.Module,
    size: tuple[int, int],
    outputs: tuple[str, ...],
    substitute: Callable[[Run], None],
    matrix_products: bool = True,
) -> NetworkPart:
    """Return the image encoder of a network for single images of a fixed size (H, W).

    outputs: names of what `compute` returns for (B, 3, H, W), each with B in front. substitute: takes a function of
    any B.
    """
    device = next(network.parameters()).device
    return NetworkPart(
        name,
        compute,
        weights=tuple(network.parameters()),
        inputs={"pixels": torch.zeros(1, 3, *size, device=device)},
        outputs=outputs,
        substitute=lambda run: substitute(_one_by_one(run)),
        matrix_products=matrix_products,
    )


def _one_by_one(run: Run) -> Run:
    """Return a function of several images of one that takes one at a time."""

    def run_all(pixels: Tensor) -> tuple[Tensor, ...]:
        of_images = [run(image) for image in torch.split(pixels, 1)]
        return tuple(torch.cat(tensors) for tensors in zip(*of_images, strict=True))

    return run_all
