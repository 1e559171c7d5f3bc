# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Feed-forward networks in chunks that fit into a CPU's cache."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_TOKENS_PER_CHUNK = 1024


class ChunkedFeedForward(nn.Module):
    """Applies a network that works on each token alone to some of the tokens at a time.

    The values between its layers, 100 MB in the first blocks of SAM 2 and 44 MB in OWLv2's, then stay in the cache.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        if torch.onnx.is_in_onnx_export():  # the engine divides the work itself
            whole: Tensor = self.network(tokens)
            return whole
        chunks = torch.split(tokens.reshape(-1, tokens.shape[-1]), _TOKENS_PER_CHUNK)
        outputs = torch.cat([self.network(chunk) for chunk in chunks])
        return outputs.view(*tokens.shape[:-1], outputs.shape[-1])


def chunked_feed_forward(model: nn.Module, kind: type[nn.Module]) -> None:
    """Replace each `mlp` of that kind in a model by a chunked one, in place."""
    for module in list(model.modules()):
        if isinstance(getattr(module, "mlp", None), kind):
            module.mlp = ChunkedFeedForward(module.mlp)  # type: ignore[arg-type]
