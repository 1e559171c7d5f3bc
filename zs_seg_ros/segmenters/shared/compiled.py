# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Compiled parts of networks, of which one call runs at a time.

The worker, trials of new vocabularies and `~/segment` call a model from threads of their own. Without compilation they
need no lock: weights are only read, and their calls are put into the same stream of a GPU one by one. A compiled part
has state, which its first call for a shape changes: that call compiles, and others of that moment would compile the
same once more or, with CUDA graphs, write into each other's buffers. The lock is held while kernels are launched and
not until they have run, so that a GPU is never kept waiting.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch


class Compiled:
    """A function that torch compiles at its first call. Thread-safe."""

    def __init__(self, function: Callable[..., Any], dynamic: bool | None = None) -> None:
        """Compile `function` for each new shape, or with `dynamic` for several at once, as `torch.compile` does."""
        self._function = torch.compile(function, dynamic=dynamic)
        self._in_use = threading.Lock()

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the function after all other calls have ended."""
        with self._in_use:
            return self._function(*arguments, **named)
