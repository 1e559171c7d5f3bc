"""The same numbers from a CPU's cache."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_PLACES_AT_ONCE = 4096


class InParts(nn.Module):
    """A network that looks at each place alone, given some thousand places at a time.

    What lies between its layers, 100 MB in the first blocks of SAM 2, then stays in the cache. Measured on two cores:
    SAM 2 reads a picture in 2.4 s in place of 2.6, to the same bits.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, places: Tensor) -> Tensor:
        parts = torch.split(places.reshape(-1, places.shape[-1]), _PLACES_AT_ONCE)
        found = torch.cat([self.network(part) for part in parts])
        return found.view(*places.shape[:-1], found.shape[-1])
