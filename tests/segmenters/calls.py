# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Counting of the runs of a part of a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def calls_of(module: nn.Module) -> Iterator[list[nn.Module]]:
    """One entry for each forward pass of a module while the block runs."""
    calls: list[nn.Module] = []
    hook = module.register_forward_hook(lambda called, *_: calls.append(called))
    try:
        yield calls
    finally:
        hook.remove()
