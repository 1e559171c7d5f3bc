"""The parts of a network that can be exported, and computed by another engine than torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

Run = Callable[..., tuple[Tensor, ...]]
"""A function of tensors, on the device of the model and in float32, to tensors on that device and in float32."""


@dataclass(frozen=True, eq=False)
class NetworkPart:
    """A function of a network that another engine can compute.

    name: of its file, with the family in front. compute: the function itself, with torch. weights: the tensors that it
    reads. inputs: an example of each input, by its name and in order. outputs: their names. free: the axes of a tensor
    that can have any size, each with a name. replace: takes the function that is called instead of `compute` from now
    on. matrix_products: whether they take most of its time, so that it is worth writing in 8 bits, too.
    """

    name: str
    compute: Run
    weights: Sequence[Tensor]
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    replace: Callable[[Run], None]
    free: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    matrix_products: bool = False

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
